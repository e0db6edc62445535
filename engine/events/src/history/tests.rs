use super::*;
use crate::metrics::Metrics;
use crate::recent::{Became, Recent};
use ringmta_mail::QueueName;

const NOON: u64 = 1_800_000_000;

/// A shard that has accepted `accepted` messages so far, and delivered `delivered` to `domain` since the last look.
fn sample(accepted: u64, domain: &str, delivered: usize) -> Option<Sample> {
    let recent = Recent::default();
    recent.note(Became::Delivered, delivered, &QueueName::for_domain(domain), None);
    let metrics = Metrics::default();
    for _ in 0..delivered {
        metrics.accept_micros.borrow_mut().saturating_record(1_000);
    }
    Some(Sample {
        accepted,
        rejected: 0,
        now: Now { queued: 3, ..Now::default() },
        part: recent.take(),
        accept_micros: metrics.accept_micros.into_inner(),
        delivery_micros: metrics.delivery_micros.into_inner(),
    })
}

fn ask(history: &History, now: u64, seconds: u64, points: u64) -> serde_json::Value {
    history.answer(&bins(now, seconds, points, By::Domain))
}

#[test]
fn rates_follow_from_what_was_counted() {
    let mut history = History::default();
    history.add(NOON, vec![sample(100, "a.test", 0), sample(50, "a.test", 0)]);
    // A shard without an answer is told of when it gives one.
    history.add(NOON + 10, vec![sample(120, "a.test", 20), None]);
    history.add(NOON + 20, vec![sample(120, "b.test", 10), sample(80, "a.test", 40)]);
    let answer = ask(&history, NOON + 20, 20, 100);
    assert_eq!(answer["step"], 10);
    assert_eq!(answer["rates"]["accepted"], serde_json::json!([2.0, 3.0]));
    assert_eq!(answer["rates"]["delivered"], serde_json::json!([2.0, 5.0]));
    assert_eq!(answer["now"]["queued"], serde_json::json!([3, 6]));
    assert_eq!(answer["names"]["domain"][0]["name"], "a.test");
    assert_eq!(answer["names"]["domain"][0]["delivered"], 60);
    assert_eq!(answer["series"][1]["delivered"], serde_json::json!([0.0, 1.0]));
    assert_eq!(answer["shards"][1]["delivered"], 40);
    assert_eq!(answer["seconds"]["delivery_p99"], serde_json::json!([null, null]));
    let wide = ask(&history, NOON + 20, 3600, 10);
    assert_eq!(wide["step"], 360);
    assert_eq!(wide["rates"]["accepted"].as_array().unwrap().len(), 10);
    assert_eq!(wide["rates"]["accepted"][0], serde_json::Value::Null, "nothing is known of then");
}

#[test]
fn a_clock_that_is_set_back_makes_no_second_step_of_an_instant() {
    let mut history = History::default();
    for at in [0, 10, 20, 30, 10, 20] {
        history.add(NOON + at, vec![sample(0, "a.test", 1)]);
    }
    let answer = ask(&history, NOON + 30, 40, 100);
    assert_eq!(answer["rates"]["delivered"], serde_json::json!([0.1, 0.1, 0.1, null]));
}

#[test]
fn a_day_of_many_names_stays_within_its_room() {
    let mut history = History::default();
    for step in 0..STEPS_MAX as u64 + 100 {
        let recent = Recent::default();
        for name in 0..20 {
            let domain = format!("{step}-{name}.example.com");
            recent.note(Became::Deferred, 1, &QueueName::for_domain(domain), None);
        }
        let mut of = sample(step, "a.test", 0);
        of.iter_mut().for_each(|of| of.part = recent.take());
        history.add(NOON + step * STEP_SECS, vec![of]);
    }
    assert_eq!(history.steps.len(), STEPS_MAX);
    assert!(history.book.len() <= 20_001, "{}", history.book.len());
    let step = |step: &Step| {
        std::mem::size_of::<Step>()
            + step.names.len() * std::mem::size_of::<OfName>()
            + SHARDS_SHOWN * std::mem::size_of::<OfShard>()
    };
    // Names of the other kinds would take as much again, each.
    let most =
        history.steps.iter().map(step).max().unwrap() + 3 * 9 * std::mem::size_of::<OfName>();
    let whole = most * STEPS_MAX + 20_000 * 100;
    assert!(whole < 16 << 20, "{whole} bytes");
    let answer = ask(&history, NOON + (STEPS_MAX as u64 + 99) * STEP_SECS, 86_400, 300);
    let rates = answer["rates"]["deferred"].as_array().unwrap();
    assert!(rates.iter().flat_map(|rate| rate.as_f64()).all(|rate| (rate - 2.0).abs() < 1e-9));
    assert_eq!(answer["names"]["domain"][0]["name"], OTHER);
}

#[test]
fn answers_of_the_last_quarter_of_an_hour() {
    let mut history = History::default();
    let answer = |text: &str| Answer { who: "x".into(), code: 421, text: text.into() };
    for (at, text, count) in
        [(0, "old", 9), (1_000, "busy", 2), (1_010, "busy", 3), (1_010, "no", 1)]
    {
        let mut of = sample(0, "a.test", 0);
        if let Some(of) = &mut of {
            of.part.answers.insert(answer(text), count);
        }
        history.add(NOON + at, vec![of.take()]);
    }
    let told = history.answers();
    let told: Vec<_> =
        told.as_array().unwrap().iter().map(|of| (&of["text"], &of["count"])).collect();
    let busy = (&"busy".into(), &2.into());
    assert_eq!(told, [busy, (&"no".into(), &1.into())], "the step at 1,010 is told once");
}

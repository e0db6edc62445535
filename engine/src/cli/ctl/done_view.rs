//! What an order has done, for people.

use super::args::Ctl;
use super::sort::Sort;
use super::words::{many, text, texts};
use serde_json::Value;

/// The answer to an order in words; none where it is words already.
pub fn done(what: &Ctl, answer: &Value, sort: &Sort) -> Option<String> {
    Some(match what {
        Ctl::Bounce(_) => bounce(answer, sort),
        Ctl::Suspend(_) | Ctl::SuspendReady { .. } | Ctl::Hold { .. } => in_force(answer),
        Ctl::Release { .. } => format!("ended: order {}", texts(&answer["removed"]).join(", ")),
        Ctl::Rebind(_) => match answer["messages"].as_u64().unwrap_or(0) {
            0 => "no message was moved: none fits, or all are where the metadata puts them".into(),
            moved => format!("{} moved: `ringmta ctl queues` tells where to", were(moved)),
        },
        Ctl::TryNow { .. } => by_count(answer, "due now", "being delivered already"),
        Ctl::Delete { .. } => by_count(answer, "failed", "in work just now: repeat it"),
        _ => return None,
    })
}

fn in_force(answer: &Value) -> String {
    let id = text(answer, "id");
    format!("order {id} is in force: `ringmta ctl cancel {id}` ends it")
}

/// `3 messages are`
fn are(count: u64) -> String {
    format!("{} {}", many(count, "message"), if count == 1 { "is" } else { "are" })
}

/// `3 messages were`
fn were(count: u64) -> String {
    format!("{} {}", many(count, "message"), if count == 1 { "was" } else { "were" })
}

/// `3 messages have`
fn have(count: u64) -> String {
    format!("{} {}", many(count, "message"), if count == 1 { "has" } else { "have" })
}

fn bounce(answer: &Value, sort: &Sort) -> String {
    const HEADINGS: [&str; 2] = ["queue", "failed"];
    sort.know(&HEADINGS);
    let mut queues: Vec<(u64, &String)> = answer["bounced"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| (count.as_u64().unwrap_or(0), name))
        .collect();
    queues.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let all = answer["total_bounced"].as_u64().unwrap_or(0);
    let mut lines = vec![in_force(answer), format!("{} been failed so far", have(all))];
    if !queues.is_empty() {
        let rows = queues
            .into_iter()
            .map(|(count, name)| vec![super::paint::clean(name), count.to_string()]);
        lines.push(format!("\n{}", sort.table(&HEADINGS, rows.collect(), usize::MAX)));
    }
    lines.join("\n")
}

fn by_count(answer: &Value, done: &str, in_work: &str) -> String {
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    let mut parts = vec![format!("{} {done}", are(number("messages")))];
    if number("in_work") > 0 {
        parts.push(format!("{} {in_work}", are(number("in_work"))));
    }
    if number("held") > 0 {
        parts.push(format!("{} held by an order, and stay so", are(number("held"))));
    }
    if number("not_looked_at") > 0 {
        let why = "not looked at, for the time was used up: repeat it";
        parts.push(format!("{} {why}", were(number("not_looked_at"))));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(what: &Ctl, answer: &Value) -> String {
        done(what, answer, &Sort::default()).unwrap()
    }

    #[test]
    fn orders_say_what_they_have_done() {
        let hold = Ctl::Hold { name: "1".into(), reason: "r".into(), duration: "1d".into() };
        let text = said(&hold, &json!({"id": "7"}));
        assert_eq!(text, "order 7 is in force: `ringmta ctl cancel 7` ends it");
        let release = Ctl::Release { name: "1".into() };
        assert_eq!(said(&release, &json!({"removed": ["7", "8"]})), "ended: order 7, 8");
        let try_now = Ctl::TryNow { name: "1".into() };
        let answer = json!({"messages": 1, "in_work": 2, "not_looked_at": 0});
        assert_eq!(
            said(&try_now, &answer),
            "1 message is due now; 2 messages are being delivered already"
        );
        assert!(done(&Ctl::Reload, &json!({}), &Sort::default()).is_none());
    }

    #[test]
    fn a_bounce_says_what_it_has_failed() {
        let text = bounce(
            &json!({"id": "7", "total_bounced": 3, "bounced": {"a.test": 1, "b.test": 2}}),
            &Sort::default(),
        );
        assert_eq!(
            text,
            "order 7 is in force: `ringmta ctl cancel 7` ends it\n3 messages have been failed so far\n\nqueue   failed\n\
             b.test       2\na.test       1"
        );
    }
}

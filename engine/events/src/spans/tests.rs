use super::*;
use crate::spans::trail::{along, Trail};
use std::collections::HashMap;
use std::sync::Arc;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn settings(pairs: &[(&str, &str)]) -> Result<Option<Settings>, String> {
    let of: HashMap<&str, &str> = pairs.iter().copied().collect();
    Settings::read(|name| of.get(name).map(|text| text.to_string()))
}

fn spans(sampler: &str, argument: &str) -> Spans {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
    let pairs = [endpoint, ("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
    Spans::new(settings(&pairs).unwrap().unwrap())
}

#[test]
fn contexts_are_read_as_the_specification_has_them() {
    let context = TraceContext::parse(PARENT).unwrap();
    assert_eq!(context.to_string(), PARENT);
    assert!(context.sampled);
    let later = PARENT.replacen("00", "cc", 1) + "-what-comes-then";
    assert!(TraceContext::parse(&later).is_some());
    for wrong in [
        "",
        "00",
        &PARENT.to_uppercase(),
        &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        &PARENT.replacen("00", "ff", 1),
        &format!("{PARENT}-x"),
        &PARENT[1..],
        "00-0af7651916cd43dd8448eb211c80319\u{e9}-b7ad6b7169203331-01",
    ] {
        assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_sampler_decides_and_so_may_a_parent() {
    let unsampled = PARENT.replace("-01", "-00");
    let is = |spans: &Spans, parent: Option<&str>| spans.follow(parent).is_some();
    let all = spans("parentbased_always_on", "");
    assert!(is(&all, None) && is(&all, Some(PARENT)) && !is(&all, Some(&unsampled)));
    assert!(is(&all, Some("nonsense")), "it is as if there were none");
    let none = spans("parentbased_always_off", "");
    assert!(!is(&none, None) && is(&none, Some(PARENT)));
    let by_itself = spans("always_on", "");
    assert!(is(&by_itself, Some(&unsampled)));
    let some = spans("traceidratio", "0.25");
    let followed = (0..4000).filter(|_| is(&some, None)).count();
    assert!((800..1200).contains(&followed), "{followed} of 4000");
    let (context, parent) = all.follow(Some(PARENT)).unwrap();
    let given = TraceContext::parse(PARENT).unwrap();
    assert_eq!((context.trace, parent), (given.trace, Some(given.span)));
    assert_ne!(context.span, given.span);
}

#[test]
fn the_environment_is_taken_or_refused() {
    assert_eq!(settings(&[]), Ok(None));
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let found = settings(&[
        endpoint,
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, y=z"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
    ]);
    let found = found.unwrap().unwrap();
    assert_eq!(found.endpoint, "http://collector:4318/v1/traces");
    let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
    assert_eq!(found.headers, [pair("x-key", "a b"), pair("y", "z")]);
    let resource = [pair("deployment.environment", "test"), pair("service.name", "ringmta")];
    assert_eq!(found.resource, resource);
    assert_eq!(found.timeout.as_millis(), 1500);
    for off in [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "true")] {
        assert_eq!(settings(&[endpoint, off]), Ok(None));
    }
    for wrong in [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
    ] {
        let why = settings(&[endpoint, wrong]).unwrap_err();
        assert!(why.starts_with("OTEL_"), "{why}");
    }
}

#[test]
fn a_list_that_is_full_drops_and_counts() {
    let spans = spans("always_on", "");
    let (context, parent) = spans.follow(None).unwrap();
    let span = Span {
        name: "receive",
        context,
        parent,
        kind: SpanKind::Server,
        start: 1,
        end: 2,
        attributes: vec![("messages", 3.into()), ("text", "x".into()), ("is", true.into())],
        error: Some("no".into()),
    };
    for _ in 0..SPANS_MAX + 5 {
        spans.add(span.clone());
    }
    assert_eq!(spans.dropped(), 5);
    let body = export::body(&[("service.name".into(), "ringmta".into())], &[span]);
    let one = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(one["startTimeUnixNano"], "1");
    assert_eq!(one["kind"], 2);
    assert_eq!(one["status"], serde_json::json!({"code": 2, "message": "no"}));
    assert_eq!(one["attributes"][0]["value"]["intValue"], "3");
    assert_eq!(one["traceId"].as_str().unwrap().len(), 32);
}

fn told(spans: &Spans) -> Vec<Span> {
    std::iter::from_fn(|| spans.waiting.pop()).collect()
}

fn message(traceparent: Option<&str>) -> Message {
    use ringmta_mail::{EnvelopeAddress, MessageId, Meta};
    let id = MessageId::new_v1(1, 0, [0; 6]);
    let message =
        Message::new(id, EnvelopeAddress::null(), Vec::new(), Meta::new(), Default::default());
    if let Some(context) = traceparent {
        message.set_meta(TRACEPARENT, context);
    }
    message
}

async fn look_up(name: &'static str) {
    let part = trail::begin();
    // Others have their turn meanwhile.
    let mut has_waited = false;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        match std::mem::replace(&mut has_waited, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    if let Some(part) = part {
        part.end((name, SpanKind::Client), Vec::new(), None);
    }
}

#[test]
fn what_is_done_side_by_side_is_left_for_whom_it_was() {
    let spans = Arc::new(spans("always_on", ""));
    let trail = |number: u64| {
        let of = TraceContext { span: number, ..TraceContext::parse(PARENT).unwrap() };
        Some(Trail::under(&spans, of))
    };
    let all = async {
        let one = along(trail(1), async {
            look_up("a").await;
            // Within it, and then again for the first.
            along(trail(3), look_up("b")).await;
            look_up("c").await;
        });
        let two = along(trail(2), look_up("d"));
        let nobody = along(None, look_up("e"));
        futures::join!(one, two, nobody);
        look_up("f").await;
    };
    futures::executor::block_on(all);
    let mut found: Vec<_> =
        told(&spans).into_iter().map(|span| (span.name, span.parent.unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [("a", 1), ("b", 3), ("c", 1), ("d", 2)]);
    assert!(trail::begin().is_none());
}

#[test]
fn what_is_done_for_a_queue_is_left_for_those_that_waited() {
    let spans = Arc::new(spans("always_on", ""));
    let trail = Trail::unclaimed(Some(&spans)).unwrap();
    futures::executor::block_on(along(Some(trail.clone()), look_up("dns")));
    assert!(told(&spans).is_empty());
    let other = PARENT.replace("b7ad", "b7ae");
    for of in [Some(PARENT), None, Some(&other)] {
        trail.claim(&message(of));
    }
    let found = told(&spans);
    let parents: Vec<_> = found.iter().map(|span| span.parent.unwrap()).collect();
    assert_eq!(parents, [0xb7ad_6b71_6920_3331, 0xb7ae_6b71_6920_3331]);
    assert!(found.iter().all(|span| span.context.trace != 0 && span.context.span != 0));
    assert_ne!(found[0].context.span, found[1].context.span);
    // Where nothing is followed there is nothing to leave, and no trail.
    assert!(Trail::unclaimed(None).is_none() && Trail::of(None, &message(Some(PARENT))).is_none());
    assert!(Trail::of(Some(&spans), &message(None)).is_none());
}

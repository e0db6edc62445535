//! Traces: one message's way as spans, told to a collector.

use crate::support::dns::{a, mx, NameServer, Zone};
use crate::support::http::{request, Receiver};
use crate::support::{message, wait, wait_some, Sink, Site};
use hickory_proto::rr::RecordType;
use serde_json::{json, Value};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// All spans that a collector was told of.
fn spans(collector: &Receiver) -> Vec<Value> {
    let bodies = collector.hits().into_iter().map(|hit| serde_json::from_slice(&hit.body).unwrap());
    let all = bodies.flat_map(|body: Value| {
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    });
    all.collect()
}

fn named<'s>(spans: &'s [Value], name: &str) -> Option<&'s Value> {
    spans.iter().find(|span| span["name"] == name)
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s Value {
    let list = span["attributes"].as_array().unwrap();
    list.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

fn text(span: &Value, key: &str) -> String {
    attribute(span, key)["stringValue"].as_str().unwrap_or_default().to_string()
}

fn followed(collector: &Receiver, sampler: &str, next_hop: &Sink) -> Site {
    let mut site = Site::to(next_hop.addr);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().trim_end_matches('/').to_string()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collectors".to_string()),
        ("OTEL_TRACES_SAMPLER", sampler.to_string()),
        ("OTEL_SERVICE_NAME", "mail-one".to_string()),
    ] {
        site.env.push((name.into(), value));
    }
    site
}

#[test]
fn a_message_is_followed_from_its_sender_to_its_hook() {
    let (collector, hook, sink) = (Receiver::start(), Receiver::start(), Sink::start());
    let mut site = followed(&collector, "parentbased_always_off", &sink);
    site.init = format!(
        "kumo.configure_http_log_hook {{ name = 'hook', url = '{}', batch_size = 1 }}",
        hook.url()
    );
    let engine = site.start(2);
    let traced = [format!("traceparent: {PARENT}\r\n").into_bytes(), message("one")].concat();
    engine.accept("a@src.test", &["u@dst.test"], &traced);
    engine.accept("a@src.test", &["u@dst.test"], &message("not followed"));
    let spans = wait_some("all its spans", || {
        let spans = spans(&collector);
        let is_told = |name: &&str| named(&spans, name).is_some();
        let all = ["receive", "policy", "store", "queue", "deliver", "hook"].iter().all(is_told);
        all.then_some(spans)
    });
    for span in &spans {
        assert_eq!(span["traceId"], TRACE, "{span}");
        let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    let receive = named(&spans, "receive").unwrap();
    assert_eq!(receive["parentSpanId"], "b7ad6b7169203331");
    for name in ["policy", "store", "queue", "deliver"] {
        let span = named(&spans, name).unwrap();
        assert_eq!(span["parentSpanId"], receive["spanId"], "{name}");
    }
    let deliver = named(&spans, "deliver").unwrap();
    assert_eq!(attribute(deliver, "smtp.reply_code")["intValue"], "250");
    assert_eq!(attribute(deliver, "network.peer.address")["stringValue"], sink.addr.to_string());
    let hit = &collector.hits()[0];
    assert_eq!(hit.start, "POST /events/v1/traces HTTP/1.1");
    assert_eq!(hit.header("x-key"), Some("collectors"));
    let body: Value = serde_json::from_slice(&hit.body).unwrap();
    let resource = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(resource["value"]["stringValue"], "mail-one");
    // Whoever is told of it can go on with it.
    wait("both deliveries at the hook", || {
        hook.hits().iter().filter(|hit| hit.events()[0]["type"] == "Delivery").count() == 2
    });
    for hit in hook.hits() {
        let event = &hit.events()[0];
        let given = hit.header("traceparent").unwrap_or_default();
        let context = event["traceparent"].as_str().unwrap_or_default();
        assert_eq!(given, context);
    }
    let of_trace = |hit: &crate::support::http::Hit| hit.header("traceparent").is_some();
    assert!(hook.hits().iter().any(of_trace) && !hook.hits().iter().all(of_trace));
}

/// A domain with two hosts, of which the better one is down.
fn zones(name: &str, kind: RecordType) -> Zone {
    match (name, kind) {
        ("two.test.", RecordType::MX) => Zone::of(vec![mx(10, "down.test."), mx(20, "up.test.")]),
        ("down.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 9])]),
        ("up.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 1])]),
        _ => Zone::default(),
    }
}

#[test]
fn what_a_message_waits_for_is_told() {
    let (collector, hook, sink) = (Receiver::start(), Receiver::start(), Sink::start());
    let (server, far) = (NameServer::start(zones), Site::to(sink.addr).start(1));
    let mut site = followed(&collector, "parentbased_always_off", &sink);
    site.default_route = None;
    site.init = format!(
        "kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}
         kumo.configure_http_log_hook {{ name = 'hook', url = '{}', batch_size = 1 }}",
        server.addr,
        hook.url()
    );
    let port = far.smtp.port();
    site.path = format!(
        "smtp_port = {port}, ip_lookup_strategy = 'Ipv4Only', enable_tls = 'RequiredInsecure',"
    );
    site.extra = "kumo.on('smtp_server_message_received', function(msg)
        if #kumo.dns.lookup_mx('two.test').hosts == 0 then error 'no hosts' end
        if msg:recipient().user == 'no' then kumo.reject(550, '5.7.1 not so') end
    end)"
        .into();
    let engine = site.start(1);
    hook.set_status(503);
    let traced = [format!("traceparent: {PARENT}\r\n").into_bytes(), message("one")].concat();
    assert_eq!(engine.submit("a@src.test", &["no@two.test"], &traced).code, 550);
    engine.accept("a@src.test", &["u@two.test"], &traced);
    let told = |name: &str, fits: &dyn Fn(&Value) -> bool| {
        let all = spans(&collector).into_iter().filter(|span| span["name"] == name);
        all.filter(|span| fits(span)).collect::<Vec<_>>()
    };
    let failed = |span: &Value| span["status"]["code"] == 2;
    let well = |span: &Value| !failed(span);
    wait("a request of the hook that failed", || !told("hook", &failed).is_empty());
    hook.set_status(200);
    wait("both requests of the hook", || told("hook", &well).len() == 2);
    engine.accept("a@src.test", &["u@two.test"], &message("not followed"));
    wait("the end of the attempt", || told("deliver", &well).len() == 1);
    let place = |addr: &'static str| {
        move |span: &Value| text(span, "network.peer.address") == format!("{addr}:{port}")
    };
    assert_eq!(told("connect", &|span| failed(span) && place("127.0.0.9")(span)).len(), 1);
    for name in ["connect", "greeting", "tls"] {
        let found = told(name, &well);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(place("127.0.0.1")(&found[0]), "{found:?}");
        assert_eq!(text(&found[0], "server.address"), "up.test");
    }
    let receive = &told("receive", &well)[0];
    assert_eq!(told("receive", &failed)[0]["status"]["message"], "550 5.7.1 not so");
    for name in ["two.test", "down.test", "up.test"] {
        let asked = told("dns", &|span| text(span, "dns.question.name") == name);
        assert!(!asked.is_empty(), "{name}");
    }
    let handlers = told("handler", &|_| true);
    for event in ["get_queue_config", "get_egress_path_config"] {
        let found = handlers.iter().find(|span| text(span, "event") == event);
        assert_eq!(found.unwrap()["parentSpanId"], receive["spanId"], "{event}");
    }
    // The handler of what came in is part of what is told of the policy; so is what it has asked.
    let policy = told("policy", &|span| span["parentSpanId"] == receive["spanId"]);
    let within = |span: &Value| span["parentSpanId"] == policy[0]["spanId"];
    assert_eq!(told("handler", &|span| within(span) && well(span)).len(), 1);
    let refused = told("handler", &|span| failed(span));
    assert_eq!(text(&refused[0], "event"), "smtp_server_message_received");
    for span in spans(&collector) {
        assert_eq!(span["traceId"], TRACE, "{span}");
    }
}

#[test]
fn what_a_hook_of_the_policy_is_told_is_followed_and_timed() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    let mut site = followed(&collector, "always_on", &sink);
    (site.default_route, site.routes) = (None, vec![("dst.test".into(), sink.addr)]);
    site.init = "kumo.configure_log_hook { name = 'told' }".into();
    site.extra = "kumo.on('make.told.log_hook', function()
        local connection, has_failed = {}, false
        function connection:send(msg)
          if not has_failed then
            has_failed = true
            kumo.reject(451, '4.3.0 not now')
          end
          return 'noted'
        end
        return connection
    end)"
        .into();
    site.queue = "retry_interval = '1s',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    let requests = |is_well: bool| {
        let all = spans(&collector).into_iter().filter(|span| span["name"] == "hook");
        all.filter(|span| (span["status"]["code"] != 2) == is_well).collect::<Vec<_>>()
    };
    wait("both events", || requests(true).len() == 2);
    let failed = requests(false);
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["status"]["message"], "451 4.3.0 not now");
    let receive = named(&spans(&collector), "receive").cloned().unwrap();
    for span in requests(true).iter().chain(&failed) {
        assert_eq!(text(span, "hook"), "told");
        assert_eq!(span["parentSpanId"], receive["spanId"], "{span}");
    }
    for (series, count) in [
        ("log_hook_post_latency_count{logger=\"told\",result=\"ok\"}", 2.0),
        ("log_hook_post_latency_count{logger=\"told\",result=\"failed\"}", 1.0),
        ("deliver_message_latency_rollup_count{service=\"lua\"}", 3.0),
        // Events of hooks are no mail that waits.
        ("queue_wait_latency_count{}", 1.0),
    ] {
        assert_eq!(engine.metric(series), count, "{series}");
    }
}

#[test]
fn a_request_is_followed_and_a_failure_is_told() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    let engine = followed(&collector, "parentbased_always_on", &sink).start(1);
    sink.refuse("no", "550 5.1.1 no mailbox");
    let mail = json!({
        "envelope_sender": "a@src.test", "recipients": [{"email": "no@dst.test"}],
        "content": "Subject: x\n\nx",
    });
    let headers = [("content-type", "application/json"), ("traceparent", PARENT)];
    let body = mail.to_string();
    request("POST", &engine.url("/api/inject/v1"), &headers, Some(body.as_bytes())).expect(200);
    let deliver =
        wait_some("a span of the attempt", || named(&spans(&collector), "deliver").cloned());
    assert_eq!(deliver["status"], json!({"code": 2, "message": "550 5.1.1 no mailbox"}));
    assert_eq!(named(&spans(&collector), "receive").unwrap()["traceId"], TRACE);
    // What is left is told when it stops.
    engine.accept("a@src.test", &["u@dst.test"], &message("last"));
    engine.terminate();
    assert!(spans(&collector).iter().any(|span| span["traceId"] != TRACE));
}

#[test]
fn a_collector_that_is_away_holds_up_no_mail() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    collector.set_status(503);
    let engine = followed(&collector, "always_on", &sink).start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    sink.wait_messages(1);
    engine.wait_says("traces are lost: the collector answers 503");
    wait("a count of what was lost", || engine.metric("trace_spans_dropped_total") >= 4.0);
}

#[test]
fn what_cannot_be_spoken_is_refused_at_the_start() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    let mut site = followed(&collector, "always_on", &sink);
    site.env.push(("OTEL_EXPORTER_OTLP_PROTOCOL".into(), "grpc".into()));
    site.write_policy();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1));
    assert!(engine.says("OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/json is spoken"));
}

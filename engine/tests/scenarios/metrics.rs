//! What the metrics tell of an engine that has done a bit of everything, and that whatever is written about them is so.

use crate::support::{message, program, wait, Receiver, Sink, Site};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../../docs/src/reference/metrics.md");
const BOARD: &str = include_str!("../../../local/grafana-dashboard.json");
const RULES: &str = include_str!("../../../local/prometheus-rules.yml");

/// The names of the metrics that the page tells of.
fn told() -> BTreeSet<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

#[test]
fn every_metric_has_a_meaning_and_stands_on_the_page() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "provider_name = 'sink',".into();
    site.extra = "kumo.on('smtp_server_message_received', function(msg)
        msg:set_meta('tenant', 'blue') msg:set_meta('campaign', 'june')
    end)"
        .into();
    let engine = site.start(2);
    sink.refuse("no", "550 5.1.1 no mailbox");
    sink.refuse("later", "451 4.2.1 later");
    for to in ["yes@dst.test", "no@dst.test", "later@dst.test"] {
        engine.accept("a@src.test", &[to], &message("one"));
    }
    let replies = |code: &str| {
        engine.metric(&format!("delivery_replies_total{{code=\"{code}\",from=\"peer\"}}"))
    };
    wait("three answers", || [replies("250"), replies("550"), replies("451")] == [1.0; 3]);
    // Only the one that was put off is still queued.
    wait("two ends", || engine.metric("queued_count_by_provider{provider=\"sink\"}") == 1.0);
    for (series, value) in [
        ("message_save_latency_count{}", 3.0),
        ("lua_event_latency_count{event=\"smtp_server_message_received\"}", 3.0),
        ("scheduled_by_domain{domain=\"dst.test\"}", 1.0),
        ("scheduled_by_tenant{tenant=\"blue\"}", 1.0),
        ("scheduled_by_tenant_campaign{tenant=\"blue\",campaign=\"june\"}", 1.0),
        ("scheduled_count{queue=\"june:blue@dst.test\"}", 1.0),
    ] {
        assert_eq!(engine.metric(series), value, "{series}");
    }
    assert!(engine.metric("total_connection_count{service=\"smtp_client\"}") >= 1.0);
    assert!(engine.metric("memory_usage") > 1e6);
    assert!(engine.metric("disk_free_bytes{name=\"data\"}") > 1e6);
    let text = engine.get("/metrics").text();
    let told = told();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, meaning) = line.split_once(' ').unwrap();
        assert_ne!(meaning, "see the reference", "{name}");
        assert!(told.contains(name), "docs/src/reference/metrics.md does not tell of {name}");
    }
    assert!(text.contains("ringmta_build_info{version=\"0.1.0\",build=\""), "{text}");
}

#[test]
fn the_time_of_each_step_is_counted() {
    let (sink, hook) = (Sink::start(), Receiver::start());
    let far_site = Site::to(sink.addr);
    let far = far_site.start(1);
    let mut site = Site::to(far.smtp);
    site.routes = vec![("gone.test".into(), "127.0.0.1:1".parse().unwrap())];
    site.path = "enable_tls = 'RequiredInsecure',".into();
    let url = hook.url();
    site.init =
        format!("kumo.configure_http_log_hook {{ name = 'hook', url = '{url}', batch_size = 1 }}");
    site.extra = "kumo.on('smtp_server_message_received', function(msg)
        local seed = kumo.encode.base64_decode 'nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A='
        msg:dkim_sign(kumo.dkim.ed25519_signer {
          domain = 'src.test', selector = 's', headers = { 'From', 'Subject' }, key = { key_data = seed },
        })
    end)"
        .into();
    let engine = site.start(2);
    for number in 0..5 {
        engine.accept("a@src.test", &[&format!("u{number}@dst.test")], &message("timed"));
    }
    engine.accept("a@src.test", &["u@gone.test"], &message("timed"));
    sink.wait_messages(5);
    let failed = "egress_connect_latency_count{result=\"failed\"}";
    wait("a connection that fails", || engine.metric(failed) >= 1.0);
    // Six receptions, five deliveries, and the failures so far.
    let told = "log_hook_post_latency_count{logger=\"hook\",result=\"ok\"}";
    wait("the posts of the hook", || engine.metric(told) >= 12.0);
    wait("the end of each attempt", || {
        engine.metric("deliver_message_latency_rollup_count{service=\"smtp_client\"}") == 5.0
    });
    // Each connection was made, greeted and encrypted, and the far side has seen the same.
    let opened = || {
        [
            engine.metric("egress_connect_latency_count{result=\"ok\"}"),
            engine.metric("egress_greeting_latency_count{result=\"ok\"}"),
            engine.metric("tls_handshake_latency_count{side=\"out\",result=\"ok\"}"),
            far.metric("tls_handshake_latency_count{side=\"in\",result=\"ok\"}"),
            far.metric("total_connection_count{service=\"esmtp_listener\"}"),
        ]
    };
    wait("the same connections on both sides", || {
        let counts = opened();
        counts[0] >= 1.0 && counts.iter().all(|count| *count == counts[0])
    });
    for (series, value) in [
        ("message_delivery_latency_count", 5.0),
        ("queue_wait_latency_count{}", 5.0),
        ("egress_greeting_latency_count{result=\"failed\"}", 0.0),
        ("tls_handshake_latency_count{side=\"in\",result=\"ok\"}", 0.0),
        ("dkim_signer_sign_count{}", 6.0),
        ("dkim_signer_key_fetch_count{}", 1.0),
        ("dkim_signer_creation_count{}", 1.0),
        ("log_hook_post_latency_count{logger=\"hook\",result=\"failed\"}", 0.0),
    ] {
        assert_eq!(engine.metric(series), value, "{series}");
    }
    wait("a time for each post", || hook.hits().len() as f64 == engine.metric(told));
    for name in ["spool_write_latency", "journal_write_latency", "message_save_latency"] {
        assert!(engine.metric(&format!("{name}_count{{}}")) >= 1.0, "{name}");
    }
    // What is added up is time that passed.
    for series in ["queue_wait_latency_sum{}", "dkim_signer_sign_sum{}"] {
        assert!(engine.metric(series) > 0.0, "{series}");
    }
}

/// Words of a query that could be a metric: with an underscore, and no word of the language or a label.
fn names_in(text: &str) -> BTreeSet<String> {
    // What stands in quotes is a value, what in `by ( )` a label.
    let outside: String = text.split('"').step_by(2).collect();
    let words =
        outside.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let metrics = words.filter(|word| word.contains('_') && *word != "histogram_quantile");
    let plain = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        ends.filter(|name| told().contains(name)).unwrap_or(word).to_string()
    };
    metrics.map(plain).collect()
}

#[test]
fn board_and_alerts_ask_for_metrics_that_exist() {
    let board: serde_json::Value = serde_json::from_str(BOARD).unwrap();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            queries.push(target["expr"].as_str().unwrap().to_string());
        }
    }
    let rules = RULES.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    queries.extend(rules.map(str::to_string));
    assert!(queries.len() > 20, "{}", queries.len());
    for query in queries {
        let names = names_in(&query);
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(told().contains(&*name), "{name} in {query}");
        }
    }
}

#[test]
fn prometheus_takes_the_alerts_and_the_metrics() {
    let Some(promtool) = program("promtool") else { return };
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../local/prometheus-rules.yml");
    let checked = Command::new(&promtool).args(["check", "rules", rules]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let engine = Site::new().start(1);
    let mut check = Command::new(&promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(&engine.get("/metrics").body).unwrap();
    let output = check.wait_with_output().unwrap();
    // (It also has opinions on names, which are the reference's.)
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("error while linting") && !told.contains("parsing"), "{told}");
}

#[test]
fn each_month_has_a_row_of_its_volumes() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let file = site.dir().join("volumes/accounting.db");
    site.init = format!("kumo.configure_accounting_db_path '{}'", file.display());
    let volumes = || {
        let database = rusqlite::Connection::open(&file).unwrap();
        let sums = "SELECT sum(received), sum(delivered), max(event_time) FROM accounting";
        let row = database.query_row(sums, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        });
        row.unwrap()
    };
    // Two starts, each with mail on both shards: what was counted before stays.
    for total in [8, 16] {
        let engine = site.start(2);
        for number in 0..8 {
            engine.accept("a@src.test", &[&format!("u{number}@dst.test")], &message("counted"));
        }
        engine.wait_empty();
        assert!(engine.terminate().success());
        let (received, delivered, month) = volumes();
        assert_eq!((received, delivered), (total, total));
        assert!(month.ends_with("-01 00:00:00"), "{month}");
    }
}

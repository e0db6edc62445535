//! What the metrics tell of an engine that has done a bit of everything, and that whatever is written about them is so.

use crate::support::{message, program, wait, Sink, Site};
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

//! Which source of a pool a message leaves from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::{message, wait, Sink, Site};

/// A pool of the sources named.
fn pool(site: &mut Site, names: &[&str]) {
    let entries: String = names.iter().map(|name| format!("{{ name = '{name}' }},")).collect();
    site.queue = "egress_pool = 'mine', retry_interval = '300ms',".into();
    site.extra = format!(
        "
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool {{ name = name, entries = {{ {entries} }} }}
end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source {{ name = name }} end)"
    );
}

fn sources(site: &Site) -> Vec<String> {
    let name = |record: &Value| record["egress_source"].as_str().unwrap().to_string();
    let mut all: Vec<String> = site.records_of("Delivery").iter().map(name).collect();
    all.sort();
    all
}

#[test]
fn a_source_is_chosen_no_more_often_than_its_rate_allows() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    pool(&mut site, &["new", "old"]);
    site.path = "source_selection_rate = source == 'new' and '2/h,max_burst=2' or nil,".into();
    let engine = site.start(2);
    for n in 0..10 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
    }
    sink.wait_messages(10);
    engine.wait_empty();
    wait("the records", || sources(&site).len() == 10);
    let all = sources(&site);
    assert_eq!(all.iter().filter(|name| *name == "new").count(), 2, "{all:?}");
}

#[test]
fn without_another_source_the_mail_waits() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    pool(&mut site, &["only"]);
    site.path = "source_selection_rate = '3600/h',".into();
    let engine = site.start(1);
    for n in 0..3 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
    }
    let received = sink.wait_messages(3);
    for pair in received.windows(2) {
        // One in a second; the clocks of two processes are not read at the same moment.
        let between = pair[1].at.duration_since(pair[0].at).as_millis();
        assert!(between >= 700, "{between} ms between two");
    }
    engine.wait_empty();
}

#[test]
fn a_named_rate_is_shared_by_all_sites() {
    let sinks = [Sink::start(), Sink::start()];
    let mut site = Site::new();
    site.routes = vec![("a.test".into(), sinks[0].addr), ("b.test".into(), sinks[1].addr)];
    pool(&mut site, &["warm", "cold"]);
    site.path =
        "additional_source_selection_rates = source == 'warm' and { warm = '1/h' } or nil,".into();
    let engine = site.start(2);
    for n in 0..4 {
        engine.accept("a@src.test", &["u@a.test"], &message(&format!("a{n}")));
        engine.accept("a@src.test", &["u@b.test"], &message(&format!("b{n}")));
    }
    sinks[0].wait_messages(4);
    sinks[1].wait_messages(4);
    wait("the records", || sources(&site).len() == 8);
    let all = sources(&site);
    assert_eq!(all.iter().filter(|name| *name == "warm").count(), 1, "{all:?}");
}

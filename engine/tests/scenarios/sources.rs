//! Which source of a pool a message leaves from.

use crate::support::{message, wait, Sink, Site};
use serde_json::Value;

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
    site.path = "source_selection_rate = '3600/h,max_burst=1',".into();
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

/// Two sources, of which `far` has an address that is not on this host.
fn with_an_absent_address(site: &mut Site, names: &[&str]) {
    pool(site, names);
    site.extra = site.extra.replace(
        "return kumo.make_egress_source { name = name }",
        "return kumo.make_egress_source { name = name, source_address = name == 'far' and '192.0.2.77' or nil,
           suspend_when_unplumbed = { duration = '1h', trigger = { Threshold = '2/1m' } } }",
    );
}

#[test]
fn a_source_without_its_address_is_left_alone() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    with_an_absent_address(&mut site, &["far", "near"]);
    let engine = site.start(1);
    for n in 0..12 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
    }
    sink.wait_messages(12);
    engine.wait_empty();
    engine.wait_says("source far is left alone");
    wait("the records", || sources(&site).len() == 12);
    assert!(sources(&site).iter().all(|name| name == "near"));
    // From the second failure on it was not asked any more.
    let failures = site.records_of("TransientFailure").len();
    engine.accept("a@src.test", &["u@dst.test"], &message("more"));
    engine.accept("a@src.test", &["u@dst.test"], &message("and more"));
    sink.wait_messages(14);
    assert_eq!(site.records_of("TransientFailure").len(), failures);
    let of_far = |name: &str, label: &str| {
        engine.metric(&format!("{name}{{source=\"far\",{label}=\"Unplumbed\"}}"))
    };
    assert_eq!(of_far("egress_source_health_suspended", "reason"), 1.0);
    assert_eq!(of_far("egress_source_health_suspensions_total", "reason"), 1.0);
    assert!(of_far("egress_source_connection_failures_total", "kind") >= 2.0);
}

#[test]
fn mail_of_a_pool_that_is_left_alone_waits() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    with_an_absent_address(&mut site, &["far"]);
    let engine = site.start(1);
    for n in 0..3 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
    }
    engine.wait_says("source far is left alone");
    wait("all of it waits", || engine.metric("scheduled_count_total") == 3.0);
    assert_eq!((sink.connections(), engine.metric("message_count")), (0, 3.0));
}

#[test]
fn a_source_whose_proxy_is_down_is_left_alone() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    pool(&mut site, &["far", "near"]);
    // A port where nobody listens any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.extra = site.extra.replace(
        "return kumo.make_egress_source { name = name }",
        &format!(
            "local far = name == 'far'
             return kumo.make_egress_source {{ name = name,
               socks5_proxy_server = far and '{gone}' or nil,
               socks5_proxy_source_address = far and '127.0.0.1' or nil,
               suspend_when_proxy_unhealthy = {{ duration = '1h' }} }}"
        ),
    );
    let engine = site.start(2);
    for n in 0..8 {
        engine.accept("a@src.test", &["u@dst.test"], &message(&format!("m{n}")));
    }
    sink.wait_messages(8);
    engine.wait_empty();
    engine.wait_says("source far is left alone");
    wait("the records", || sources(&site).len() == 8);
    assert!(sources(&site).iter().all(|name| name == "near"));
}

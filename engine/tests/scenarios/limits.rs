//! Limits hold over all shards together, and nobody starves under them.

use crate::support::sink::most_at_once;
use crate::support::{message, wait, Engine, Sink, Site};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Submits `count` messages over many connections, so that every shard accepts some.
fn submit(engine: &Engine, domain: &str, count: usize) {
    let mut clients: Vec<_> = (0..count.min(32)).map(|_| engine.greeted()).collect();
    let connections = clients.len();
    for n in 0..count {
        let to = format!("u{n}@{domain}");
        let reply = clients[n % connections].transaction("a@src.test", &[&to], &message("limit"));
        assert_eq!(reply.code, 250, "{reply:?}");
    }
}

/// Everything is where it belongs.
fn check(engine: &Engine) {
    let found = engine.get("/api/admin/self-check/v1").expect(200).json();
    assert_eq!(found["ok"], true, "{found}");
}

/// Shards that have messages waiting.
fn shards_with_mail(engine: &Engine) -> usize {
    let queues = engine.get("/api/admin/queues/v1").json();
    let shards = queues.as_array().unwrap().iter();
    let busy = shards.filter(|shard| shard["scheduled"].as_object().is_some_and(|q| !q.is_empty()));
    busy.count()
}

fn recipients(sink: &Sink) -> BTreeSet<String> {
    sink.messages().into_iter().flat_map(|message| message.to).collect()
}

#[test]
fn one_connection_for_two_shards() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 1,".into();
    let engine = site.start(2);
    submit(&engine, "dst.test", 200);
    wait("mail waiting on both shards", || shards_with_mail(&engine) == 2);
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(200);
    engine.wait_empty();
    assert_eq!(recipients(&sink).len(), 200, "everybody got theirs");
    assert!(sink.connections() >= 2, "both shards had a turn");
    assert_eq!(most_at_once(&sink.spans()), 1);
}

#[test]
fn fewer_connections_than_shards() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 2, max_deliveries_per_connection = 5,".into();
    let engine = site.start(4);
    submit(&engine, "dst.test", 300);
    sink.wait_messages(300);
    engine.wait_empty();
    assert_eq!(recipients(&sink).len(), 300);
    assert!(most_at_once(&sink.spans()) <= 2);
}

#[test]
fn what_is_allowed_is_used() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 5,".into();
    let engine = site.start(2);
    submit(&engine, "dst.test", 100);
    wait("five connections", || sink.open() == 5);
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(100);
    engine.wait_empty();
    assert!(most_at_once(&sink.spans()) <= 5);
}

#[test]
fn one_named_limit_for_several_sites() {
    let sinks = [Sink::start(), Sink::start(), Sink::start()];
    let mut site = Site::new();
    for (n, sink) in sinks.iter().enumerate() {
        site.routes.push((format!("d{n}.test"), sink.addr));
    }
    site.path = "additional_connection_limits = { provider = 1 },".into();
    let engine = site.start(2);
    for n in 0..sinks.len() {
        submit(&engine, &format!("d{n}.test"), 40);
    }
    for sink in &sinks {
        sink.wait_messages(40);
    }
    engine.wait_empty();
    let spans: Vec<_> = sinks.iter().flat_map(Sink::spans).collect();
    assert_eq!(most_at_once(&spans), 1, "one connection for all sites together");
}

#[test]
fn a_site_that_hangs_does_not_hold_up_another() {
    let (stuck, free) = (Sink::start(), Sink::start());
    stuck.set(|behaviour| behaviour.stall = Some(crate::support::Phase::Banner));
    let mut site = Site::new();
    site.routes = vec![("stuck.test".into(), stuck.addr), ("free.test".into(), free.addr)];
    site.path = "connection_limit = 2,".into();
    let engine = site.start(1);
    submit(&engine, "stuck.test", 50);
    submit(&engine, "free.test", 50);
    free.wait_messages(50);
    stuck.set(|behaviour| behaviour.stall = None);
    stuck.wait_messages(50);
    engine.wait_empty();
}

/// `count` messages at `per_second` with a burst of `burst` cannot take less than this.
fn least(count: u32, burst: u32, per_second: f64) -> Duration {
    Duration::from_secs_f64(f64::from(count - burst) / per_second)
}

#[test]
fn message_rate_of_a_path() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "max_message_rate = '40/s,max_burst=1',".into();
    let engine = site.start(2);
    let begin = Instant::now();
    submit(&engine, "dst.test", 60);
    let last = sink.wait_messages(60).iter().map(|message| message.at).max().unwrap();
    assert!(last - begin >= least(60, 1, 40.0), "{:?}", last - begin);
    engine.wait_empty();
}

#[test]
fn message_rate_shared_by_name() {
    let sinks = [Sink::start(), Sink::start()];
    let mut site = Site::new();
    site.routes = vec![("d0.test".into(), sinks[0].addr), ("d1.test".into(), sinks[1].addr)];
    site.path = "additional_message_rate_throttles = { provider = '40/s,max_burst=10' },".into();
    let engine = site.start(2);
    let begin = Instant::now();
    submit(&engine, "d0.test", 35);
    submit(&engine, "d1.test", 35);
    let last = |sink: &Sink| sink.wait_messages(35).iter().map(|m| m.at).max().unwrap();
    let last = last(&sinks[0]).max(last(&sinks[1]));
    assert!(last - begin >= least(70, 10, 40.0), "{:?}", last - begin);
    engine.wait_empty();
}

#[test]
fn message_rate_of_a_scheduled_queue() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "max_message_rate = '20/s,max_burst=1',".into();
    let engine = site.start(2);
    let begin = Instant::now();
    submit(&engine, "dst.test", 40);
    let last = sink.wait_messages(40).iter().map(|message| message.at).max().unwrap();
    assert!(last - begin >= least(40, 1, 20.0), "{:?}", last - begin);
    engine.wait_empty();
}

#[test]
fn without_a_burst_the_whole_quantity_may_go_at_once() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "max_message_rate = '20/h', max_connection_rate = '20/h',".into();
    site.queue = "max_message_rate = '20/h',".into();
    let engine = site.start(1);
    submit(&engine, "dst.test", 20);
    sink.wait_messages(20);
    engine.wait_empty();
}

#[test]
fn mail_that_waits_for_the_rate_of_its_queue_costs_nothing() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = "max_message_rate = '2/h,max_burst=2',".into();
    let engine = site.start(2);
    submit(&engine, "dst.test", 300);
    sink.wait_messages(2);
    let path = "/api/admin/inspect-sched-q/v1?queue_name=dst.test";
    wait("the others waiting in order", || engine.get(path).json()["num_scheduled"] == 298);
    // None of them was given a time of its own, which is a line in the journal each.
    assert_eq!(engine.metric("scheduled_count_total"), 0.0);
    check(&engine);
    // More is allowed: it goes at once.
    site.queue = "max_message_rate = '1000/s',".into();
    site.write_policy();
    engine.post("/api/admin/reload/v1", &serde_json::Value::Null).expect(200);
    sink.wait_messages(300);
    engine.wait_empty();
}

#[test]
fn mail_that_comes_while_all_leases_are_out_costs_no_connection() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    // Two connections an hour, of which each carries half of the mail.
    site.path = "connection_limit = 1, max_connection_rate = '2/h,max_burst=2',
      max_deliveries_per_connection = 30,"
        .into();
    let engine = site.start(1);
    submit(&engine, "dst.test", 60);
    wait("the first connection", || sink.open() == 1);
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(60);
    engine.wait_empty();
    assert_eq!(sink.connections(), 2);
}

/// Two an hour: a message that is charged twice leaves none for the other.
const TWO: &str = "max_message_rate = '2/h,max_burst=2', refresh_interval = '1h',";

#[test]
fn a_message_that_policy_has_wait_is_charged_when_it_goes() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = TWO.into();
    site.extra = "
kumo.on('throttle_insert_ready_queue', function(msg)
  if not msg:get_meta 'waited' then
    msg:set_meta('waited', 'yes')
    msg:set_due(kumo.time.now() + kumo.time.parse_duration '1s')
  end
end)"
        .into();
    let engine = site.start(1);
    submit(&engine, "dst.test", 2);
    sink.wait_messages(2);
    engine.wait_empty();
    check(&engine);
}

#[test]
fn a_message_whose_route_goes_while_policy_looks_at_it_is_charged_once() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.queue = TWO.into();
    let dir = site.dir().display().to_string();
    let until = |file: &str| format!("while not io.open '{dir}/{file}' do kumo.sleep(0.01) end");
    site.extra = format!(
        "kumo.on('throttle_insert_ready_queue', function(msg)
  kumo.log_info 'it was asked'
  {}
end)",
        until("go")
    );
    let engine = site.start(1);
    submit(&engine, "dst.test", 1);
    engine.wait_says("it was asked");
    // The new policy takes its time about the queue: there is no route until then.
    site.queue += &format!("max_age = (function() {} return '1 day' end)(),", until("route"));
    site.extra = String::new();
    site.write_policy();
    engine.post("/api/admin/reload/v1", &serde_json::Value::Null).expect(200);
    std::fs::write(site.dir().join("go"), "").unwrap();
    let path = "/api/admin/inspect-sched-q/v1?queue_name=dst.test";
    wait("it waits for a route", || engine.get(path).json()["num_scheduled"] == 1);
    std::fs::write(site.dir().join("route"), "").unwrap();
    sink.wait_messages(1);
    submit(&engine, "dst.test", 1);
    sink.wait_messages(2);
    engine.wait_empty();
    check(&engine);
}

#[test]
fn an_idle_connection_gives_way_to_a_shard_that_waits() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // Longer than any test waits.
    site.path = "connection_limit = 1, idle_timeout = '1h',".into();
    let engine = site.start(2);
    for n in 1..=16 {
        // Whichever shard the new connection goes to.
        engine.accept("a@src.test", &["u@dst.test"], &message("turn"));
        sink.wait_messages(n);
    }
    engine.wait_empty();
    assert!(sink.connections() > 1, "both shards had mail");
    assert_eq!(most_at_once(&sink.spans()), 1);
    check(&engine);
}

#[test]
fn a_connection_of_the_policys_own_gives_way_too() {
    let mut site = Site::new();
    site.queue = "protocol = { custom_lua = { constructor = 'make.own' } },".into();
    site.path = "connection_limit = 1, idle_timeout = '1h',".into();
    site.extra = "
kumo.on('make.own', function()
  local connection = {}
  function connection:send(message) return 'taken' end
  return connection
end)"
        .into();
    let engine = site.start(2);
    for n in 1..=16 {
        engine.accept("a@src.test", &["u@dst.test"], &message("turn"));
        wait("its delivery", || site.records_of("Delivery").len() == n);
    }
    engine.wait_empty();
    check(&engine);
}

#[test]
fn an_idle_connection_gives_way_to_another_site_under_the_same_limit() {
    let sinks = [Sink::start(), Sink::start()];
    let mut site = Site::new();
    site.routes = vec![("d0.test".into(), sinks[0].addr), ("d1.test".into(), sinks[1].addr)];
    site.path = "additional_connection_limits = { provider = 1 }, idle_timeout = '1h',".into();
    let engine = site.start(1);
    for n in 1..=3 {
        for (at, sink) in sinks.iter().enumerate() {
            let to = format!("u@d{at}.test");
            engine.accept("a@src.test", &[&to], &message("turn"));
            sink.wait_messages(n);
        }
    }
    engine.wait_empty();
    check(&engine);
}

#[test]
fn shards_that_have_their_share_keep_their_connections() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.path = "connection_limit = 4, max_deliveries_per_connection = 100000,".into();
    let engine = site.start(2);
    submit(&engine, "dst.test", 2000);
    wait("mail waiting on both shards", || shards_with_mail(&engine) == 2);
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(2000);
    engine.wait_empty();
    assert!(most_at_once(&sink.spans()) <= 4);
    // Once to come to equal shares, once more when one of them has nothing left.
    assert!(sink.connections() <= 16, "{} connections", sink.connections());
    check(&engine);
}

#[test]
fn a_full_ready_queue_holds_up_no_other_source() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.queue = "egress_pool = 'mine', refresh_interval = '1h',".into();
    site.path = "max_ready = 2, refresh_interval = '1h',
      connection_limit = source == 'stuck' and 0 or 1,"
        .into();
    site.extra = "
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool { name = name, entries = { { name = 'stuck' }, { name = 'free' } } }
end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)"
        .into();
    let engine = site.start(1);
    submit(&engine, "dst.test", 40);
    sink.set(|behaviour| behaviour.hold_dots = false);
    // Two wait for the source that may open no connection.
    sink.wait_messages(38);
    assert_eq!(engine.metric("message_count"), 2.0);
    check(&engine);
}

#[test]
fn connection_rate() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path =
        "max_connection_rate = '10/s,max_burst=1', max_deliveries_per_connection = 1,".into();
    let engine = site.start(2);
    let begin = Instant::now();
    submit(&engine, "dst.test", 20);
    let last = sink.wait_messages(20).iter().map(|message| message.at).max().unwrap();
    assert!(last - begin >= least(20, 1, 10.0), "{:?}", last - begin);
    engine.wait_empty();
}

#[test]
fn more_mail_than_a_ready_queue_holds() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.hold_dots = true);
    let mut site = Site::to(sink.addr);
    site.path = "max_ready = 4, connection_limit = 1,".into();
    let engine = site.start(2);
    submit(&engine, "dst.test", 100);
    sink.set(|behaviour| behaviour.hold_dots = false);
    sink.wait_messages(100);
    engine.wait_empty();
    assert_eq!(recipients(&sink).len(), 100);
}

#[test]
fn a_message_that_was_told_451_for_time_is_not_delivered() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    // Policy takes about as long as it may: some make it, some do not, and none of those may go out.
    site.listener = "data_processing_timeout = '3ms', relay_hosts = { '127.0.0.1' },".into();
    site.extra = "kumo.on('smtp_server_message_received', function(msg)
          kumo.sleep(tonumber(msg:get_first_named_header_value 'X-Sleep'))
        end)"
        .into();
    let engine = site.start(2);
    let mut client = engine.greeted();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for n in 0..60 {
        let to = format!("u{n}@dst.test");
        let wait = f64::from(n % 6) * 0.001;
        let mail = format!("X-Sleep: {wait}\r\n\r\nx\r\n");
        let mail = client.transaction("a@src.test", &[&to], mail.as_bytes());
        match mail.code {
            250 => taken.push(to),
            451 => refused += 1,
            code => panic!("{code}"),
        }
    }
    assert!(refused > 0);
    sink.wait_messages(taken.len());
    engine.wait_empty();
    let mut got: Vec<_> = sink.messages().into_iter().flat_map(|m| m.to).collect();
    got.sort();
    taken.sort();
    assert_eq!(got, taken);
}

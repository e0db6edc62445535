//! Hooks and their receivers: slow ones, such as refuse, such as hang.

use crate::support::{message, wait, Engine, Receiver, Sink, Site};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Events are tried again when their queue says so.
const SOON: &str = "retry_interval = '300ms', max_retry_interval = '1s',";

/// A hook whose records a queue takes, one event per request.
fn lua_hook(receiver: &Receiver) -> String {
    format!(
        "
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {{
  name = 'webhook', url = '{}', log_parameters = {{ headers = {{ 'Subject' }} }},
}}",
        receiver.url()
    )
}

/// A hook of the engine itself, several events per request.
fn http_hook(name: &str, url: &str, options: &str) -> String {
    let batch = if options.contains("'Object'") { "" } else { "batch_size = 5," };
    format!(
        "kumo.configure_http_log_hook {{
          name = '{name}', url = '{url}', {batch} max_batch_latency = '50ms',
          headers = {{ 'Subject' }}, {options}
        }}\n"
    )
}

/// Kinds of hook.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Records are messages of a queue.
    Queue,
    /// The engine posts arrays of them,
    Arrays,
    /// or each by itself, as the shipped tree has it.
    Objects,
}

const KINDS: [Kind; 3] = [Kind::Queue, Kind::Arrays, Kind::Objects];

/// A site with a hook, whose mail goes to `sink`.
fn hooked_site(kind: Kind, sink: &Sink, receiver: &Receiver) -> Site {
    let mut site = Site::to(sink.addr);
    match kind {
        Kind::Queue => {
            site.queue = SOON.into();
            site.extra = lua_hook(receiver);
        }
        Kind::Arrays => site.init = http_hook("webhook", &receiver.url(), ""),
        Kind::Objects => site.init = http_hook("webhook", &receiver.url(), "body = 'Object',"),
    }
    site
}

fn accept_some(engine: &Engine, count: usize) -> BTreeSet<String> {
    let to = |n: usize| format!("u{n:02}@dst.test");
    (0..count).flat_map(|n| engine.accept("a@src.test", &[&to(n)], &message("hi"))).collect()
}

fn ids(events: &[Value], kind: &str) -> BTreeSet<String> {
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    of_kind.map(|event| event["id"].as_str().unwrap().to_string()).collect()
}

fn dead_letters(site: &Site) -> Vec<Value> {
    let folder = site.dir().join("spool/meta/hooks/webhook/dead-letters");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap());
    let lines: Vec<String> =
        texts.flat_map(|t| t.lines().map(str::to_string).collect::<Vec<_>>()).collect();
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_refused_for_good_is_set_aside_and_holds_up_nothing() {
    let sink = Sink::start();
    for kind in KINDS {
        let receiver = Receiver::start();
        let is_poison =
            |hit: &crate::support::http::Hit| String::from_utf8_lossy(&hit.body).contains("poison");
        receiver.answer_by(move |hit| is_poison(hit).then(|| "422 No".to_string()));
        let site = hooked_site(kind, &sink, &receiver);
        let engine = site.start(1);
        let bad: BTreeSet<String> =
            engine.accept("a@src.test", &["p@dst.test"], &message("poison")).into_iter().collect();
        let good = accept_some(&engine, 20);
        let taken = || -> Vec<Value> {
            let hits = receiver.hits();
            hits.iter().filter(|hit| !is_poison(hit)).flat_map(|hit| hit.events()).collect()
        };
        wait("every delivery", || ids(&taken(), "Delivery").is_superset(&good));
        wait("the refused ones set aside", || dead_letters(&site).len() == 2);
        let aside = dead_letters(&site);
        let events: Vec<Value> = aside.iter().map(|letter| letter["event"].clone()).collect();
        assert_eq!((ids(&events, "Reception"), ids(&events, "Delivery")), (bad.clone(), bad));
        assert!(aside.iter().all(|letter| letter["reason"].as_str().unwrap().contains("422")));
        wait("their count", || {
            engine.metric("log_hook_dead_letters_total{logger=\"webhook\"}") == 2.0
        });
        assert!(engine.terminate().success());
        receiver.clear();
        let engine = site.start(1);
        let more = accept_some(&engine, 1);
        wait("what comes after", || ids(&receiver.events(), "Delivery").is_superset(&more));
        assert_eq!(receiver.events().len(), 2, "nothing is told again");
    }
}

#[test]
fn an_event_that_fails_among_others_is_set_aside_in_the_end() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let is_poison =
        |hit: &crate::support::http::Hit| String::from_utf8_lossy(&hit.body).contains("poison");
    receiver.answer_by(move |hit| is_poison(hit).then(|| "500 Crashed".to_string()));
    let mut site = Site::to(sink.addr);
    site.init = http_hook("webhook", &receiver.url(), "");
    let engine = site.start(1);
    engine.accept("a@src.test", &["p@dst.test"], &message("poison"));
    wait("the failing ones set aside", || {
        // Others are taken meanwhile.
        accept_some(&engine, 1);
        dead_letters(&site).len() == 2
    });
    let tries = receiver.hits().iter().filter(|hit| is_poison(hit)).count();
    assert!(tries >= 8, "each was tried often before: {tries}");
}

/// A receiver that stays away costs its events in the end, which is said and counted; those that come later are told.
#[test]
fn events_of_the_engines_own_hook_are_given_up_at_their_age_with_a_word_on_it() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    receiver.set_status(503);
    let mut site = Site::to(sink.addr);
    site.init = http_hook("webhook", &receiver.url(), "max_age = '2s',");
    let engine = site.start(1);
    accept_some(&engine, 3);
    // Each message has been received and delivered.
    let of_hook = |name: &str| engine.metric(&format!("{name}{{logger=\"webhook\"}}"));
    wait("all given up", || of_hook("log_hook_dropped_total") == 6.0);
    engine.wait_says("given up: their receiver has been away for 2s");
    wait("an empty log", || of_hook("log_hook_backlog_count") == 0.0);
    receiver.clear();
    receiver.set_status(200);
    wait("what comes later", || {
        accept_some(&engine, 1);
        !ids(&receiver.events(), "Delivery").is_empty()
    });
}

#[test]
fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let sink = Sink::start();
    for kind in KINDS {
        let receiver = Receiver::start();
        let asked = AtomicBool::new(false);
        receiver.answer_by(move |_| {
            let is_first = !asked.swap(true, Ordering::SeqCst);
            is_first.then(|| "429 Too Many\r\nretry-after: 3".to_string())
        });
        let engine = hooked_site(kind, &sink, &receiver).start(1);
        let all = accept_some(&engine, 1);
        wait("the first request", || !receiver.hits().is_empty());
        let first = Instant::now();
        wait("the next", || receiver.hits().len() > 1);
        assert!(first.elapsed() > Duration::from_secs(2), "{:?}", first.elapsed());
        wait("the delivery", || ids(&receiver.events(), "Delivery") == all);
    }
}

#[test]
fn connections_are_kept_and_events_of_a_message_stay_in_order() {
    let sink = Sink::start();
    for kind in KINDS {
        let receiver = Receiver::start();
        receiver.answer_by(|hit| {
            // Some answers take longer than others.
            std::thread::sleep(Duration::from_millis((hit.body.len() % 7) as u64 * 3));
            None
        });
        let engine = hooked_site(kind, &sink, &receiver).start(1);
        let all = accept_some(&engine, 60);
        wait("every delivery", || ids(&receiver.events(), "Delivery") == all);
        let events = receiver.events();
        assert_eq!(events.len(), 120);
        for id in &all {
            let of_one = events.iter().filter(|event| event["id"] == id.as_str());
            let kinds: Vec<_> = of_one.map(|event| event["type"].as_str().unwrap()).collect();
            assert_eq!(kinds, ["Reception", "Delivery"]);
        }
        let requests = receiver.hits().len();
        let connections = receiver.connections();
        assert!(connections <= 24, "{connections} connections for {requests} requests");
    }
}

/// What a receiver of single records is sent: each as it stands in the log, with the id that tells it from all others.
#[test]
fn records_are_posted_one_by_one_as_they_are() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    let options = "body = 'Object', request_headers = { ['x-key'] = 'sesame' }, \
                   signing_secret = 'open',";
    site.init = http_hook("webhook", &receiver.url(), options);
    let engine = site.start(1);
    let all = accept_some(&engine, 10);
    wait("every delivery", || ids(&receiver.events(), "Delivery") == all);
    let hits = receiver.hits();
    assert_eq!(hits.len(), 20);
    let mut webhook_ids = BTreeSet::new();
    for hit in &hits {
        let record: Value = serde_json::from_slice(&hit.body).unwrap();
        assert!(record.is_object() && record["headers"]["Subject"] == "hi", "{record}");
        assert_eq!(hit.start, "POST /events HTTP/1.1");
        assert_eq!(hit.header("content-type"), Some("application/json"));
        assert_eq!(hit.header("x-key"), Some("sesame"));
        assert_eq!(hit.header("host"), Some(&*receiver.addr.to_string()));
        assert!(hit.header("webhook-signature").unwrap().starts_with("v1,"));
        assert!(hit.header("webhook-timestamp").unwrap().parse::<u64>().unwrap() > 1_700_000_000);
        webhook_ids.insert(hit.header("webhook-id").unwrap().to_string());
    }
    assert_eq!(webhook_ids.len(), 20, "each event has its own");
}

/// Some receivers answer with a page, some with less than they announce: they have the event all the same.
#[test]
fn what_a_receiver_says_beside_its_status_does_not_count() {
    let sink = Sink::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (posted, posts) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = std::io::BufReader::new(stream);
            let Some(hit) = crate::support::http::read_request(&mut stream) else { continue };
            // A long one, and one that is cut.
            let (page, length) = match number % 2 {
                0 => (vec![b'x'; 100_000], 100_000),
                _ => (vec![b'x'; 10], 20),
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.get_mut().write_all(head.as_bytes());
            let _ = stream.get_mut().write_all(&page);
            let _ = posted.send(hit);
        }
    });
    let mut site = Site::to(sink.addr);
    site.init = http_hook("webhook", &format!("http://{addr}/"), "body = 'Object',");
    let engine = site.start(1);
    let all = accept_some(&engine, 5);
    let told: Vec<Value> =
        posts.iter().take(10).flat_map(|hit: crate::support::http::Hit| hit.events()).collect();
    assert_eq!((ids(&told, "Reception"), ids(&told, "Delivery")), (all.clone(), all));
    assert!(engine.terminate().success());
    assert_eq!(posts.try_iter().count(), 0, "each is told once");
}

/// A POST that is sent elsewhere would arrive there as a GET, and its records would be lost.
#[test]
fn a_hook_follows_no_redirect_and_says_so() {
    let sink = Sink::start();
    for status in ["302 Found", "308 Permanent Redirect"] {
        let receiver = Receiver::start();
        let elsewhere = Receiver::start();
        let location = elsewhere.url();
        receiver.answer_by(move |_| Some(format!("{status}\r\nlocation: {location}")));
        let engine = hooked_site(Kind::Objects, &sink, &receiver).start(1);
        let all = accept_some(&engine, 1);
        engine.wait_says(&format!(
            "answered {status}: a hook follows no redirect, give it the URL that takes its records"
        ));
        receiver.answer_by(|_| None);
        receiver.clear();
        wait("the delivery", || ids(&receiver.events(), "Delivery") == all);
        assert!(elsewhere.hits().is_empty(), "{status}");
    }
}

/// Hooks whose receiver hangs, more of them than there were threads for all.
#[test]
fn receivers_that_hang_hold_up_neither_mail_nor_other_hooks() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    // The kernel accepts for it, and nobody ever answers.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung_url = format!("http://{}/", hung.local_addr().unwrap());
    let mut site = Site::to(sink.addr);
    for number in 0..10 {
        site.init += &http_hook(&format!("hung{number}"), &hung_url, "timeout = '1h',");
    }
    site.init += &http_hook("webhook", &receiver.url(), "");
    site.extra = format!(
        "
kumo.on('smtp_server_message_received', function(msg)
  local client = kumo.http.build_client {{ timeout = '1h' }}
  local response = client:get('{}'):send()
  assert(response:status_is_success())
end)",
        receiver.url()
    );
    let engine = site.start(1);
    let all = accept_some(&engine, 20);
    wait("every delivery", || {
        let posts: Vec<Value> = receiver
            .hits()
            .iter()
            .filter(|hit| hit.start.starts_with("POST"))
            .flat_map(|hit| hit.events())
            .collect();
        ids(&posts, "Delivery") == all
    });
    assert!(engine.terminate().success());
}

/// As trees for KumoMTA have it: the record's queue says what takes it, by a constructor of any name.
#[test]
fn the_queue_of_a_record_names_its_constructor() {
    let sink = Sink::start();
    let receiver = Receiver::start();
    let mut site = Site::to(sink.addr);
    site.init = "kumo.configure_log_hook { name = 'events' }\n\
                 kumo.configure_log_hook { name = 'unwanted' }"
        .into();
    let own = "kumo.on('get_queue_config', function(domain)
  if domain == 'to.receiver' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'my.sender' } } }
  end
end)
kumo.on('should_enqueue_log_record', function(msg, hook)
  if hook == 'unwanted' then return false end
  if msg:get_meta('log_record').type ~= 'Delivery' then return false end
  msg:set_meta('queue', 'to.receiver')
  return true
end)
kumo.on('my.sender', function(domain)
  local connection = {}
  local client = kumo.http.build_client {}
  function connection:send(msg)
    local response = client:post('URL'):header('x-domain', domain):body(msg:get_data()):send()
    return response:status_reason()
  end
  return connection
end)";
    site.write_policy();
    // Handlers of one event are asked in turn: this one comes first.
    let text = std::fs::read_to_string(site.policy_file()).unwrap();
    let own = own.replace("URL", &receiver.url());
    let text = text.replacen("kumo.on('init'", &format!("{own}\nkumo.on('init'"), 1);
    std::fs::write(site.policy_file(), text).unwrap();
    let engine = site.start_as_it_is(1);
    let all = accept_some(&engine, 3);
    wait("every delivery", || ids(&receiver.events(), "Delivery") == all);
    assert_eq!(receiver.events().len(), 3);
    assert!(receiver.hits().iter().all(|hit| hit.header("x-domain") == Some("to.receiver")));
    assert!(!engine.says("trying again"), "{:?}", engine.stderr());
}

//! `deferred_queue`: the 250 comes before policy has seen the message, and promises as much.

use crate::support::{message, wait, Sink, Site};

fn site(sink: &Sink, handler: &str) -> Site {
    let mut site = Site::to(sink.addr);
    site.listener = "deferred_queue = true,".into();
    site.extra = format!(
        "
kumo.on('smtp_server_message_received', function() error 'not this one' end)
kumo.on('smtp_server_message_deferred_inject', function(msg, conn)
  {handler}
end)"
    );
    site
}

#[test]
fn the_event_comes_after_the_reply_and_steers_the_message() {
    let sink = Sink::start();
    let site = site(
        &sink,
        "msg:prepend_header('X-Seen', conn:get_meta('reception_protocol') .. ' ' .. msg:queue_name())
  msg:set_meta('tenant', 't1')",
    );
    let engine = site.start(2);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("later")).remove(0);
    let received = sink.wait_messages(1);
    let text = String::from_utf8_lossy(&received[0].data).into_owned();
    assert!(text.starts_with("X-Seen: ESMTP dst.test\r\n"), "{text}");
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(
        (record["queue"].as_str(), record["id"].as_str()),
        (Some("t1@dst.test"), Some(&*id))
    );
    assert_eq!(record["num_attempts"], 0);
    let queue = site.wait_record("Reception", |_| true)["queue"].clone();
    assert_eq!(queue, "deferred_smtp_inject.kumomta.internal");
    engine.wait_empty();
}

#[test]
fn a_refusal_is_a_bounce() {
    let sink = Sink::start();
    let site = site(&sink, "kumo.reject(554, '5.7.1 not wanted')");
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("refused"));
    let record = site.wait_record("Bounce", |_| true);
    assert_eq!(record["response"]["code"], 554);
    assert!(record["response"]["content"].as_str().unwrap().contains("not wanted"), "{record}");
    engine.wait_empty();
    assert_eq!(sink.count(), 0);
}

#[test]
fn a_message_whose_handler_failed_survives_a_crash() {
    let sink = Sink::start();
    let mut site = site(&sink, "error 'broken'");
    let engine = site.start(2);
    engine.accept("a@src.test", &["u@dst.test"], &message("kept"));
    engine.wait_says("broken");
    wait("it is still there", || engine.metric("message_count") == 1.0);
    engine.kill();
    site.extra = "
kumo.on('smtp_server_message_deferred_inject', function(msg) msg:prepend_header('X-Mended', 'yes') end)"
        .into();
    let engine = site.start(1);
    let received = sink.wait_messages(1);
    assert!(received[0].data.starts_with(b"X-Mended: yes\r\n"));
    engine.wait_empty();
    // It was offered to a next hop once.
    assert_eq!(site.wait_record("Delivery", |_| true)["num_attempts"], 0);
    assert_eq!(site.records_of("TransientFailure").len(), 0);
}

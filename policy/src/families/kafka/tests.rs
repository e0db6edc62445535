//! The producer against librdkafka's own brokers, read back by a consumer.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::{Offset, TopicPartitionList};
use ringmta_options::plain::Plain;

use super::client::Producer;
use super::record::KafkaRecord;
use crate::testing::*;

fn record(topic: &str, payload: &str) -> KafkaRecord {
    KafkaRecord { topic: topic.into(), payload: Plain::str(payload), ..KafkaRecord::default() }
}

fn property(key: &str, value: impl ToString) -> (String, String) {
    (key.to_owned(), value.to_string())
}

/// Content, key and headers of the records of a partition, from the first.
type Read = (Vec<u8>, Option<Vec<u8>>, BTreeMap<String, Vec<u8>>);

fn read_back(servers: &str, topic: &str, partition: i32, n: usize) -> Vec<Read> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "reader");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let mut out = Vec::new();
    while out.len() < n && Instant::now() < until {
        let Some(Ok(m)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let headers = m.headers().map_or_else(BTreeMap::new, |all| {
            all.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
        });
        out.push((m.payload().unwrap_or_default().to_vec(), m.key().map(<[u8]>::to_vec), headers));
    }
    out
}

#[test]
fn what_is_sent_can_be_read() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("mail", 2, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let properties =
            vec![property("bootstrap.servers", &servers), property("compression.codec", codec)];
        Producer::new(properties).unwrap_or_else(|e| panic!("{codec}: {e}"));
    }
    let producer = Producer::new(vec![
        property("bootstrap.servers", &servers),
        property("compression.codec", "gzip"),
    ])
    .unwrap();
    let mut one = record("mail", &"one ".repeat(1000));
    one.partition = Some(1);
    one.key = Plain::str("key");
    one.headers.insert("kind".into(), "Delivery".into());
    assert_eq!(producer.send(&one).unwrap(), (1, 0));
    let mut raw = record("mail", "");
    raw.partition = Some(1);
    raw.payload = Plain::str(b"\xff\x00");
    assert_eq!(producer.send(&raw).unwrap(), (1, 1));
    let read = read_back(&servers, "mail", 1, 2);
    let headers = BTreeMap::from([("kind".to_owned(), b"Delivery".to_vec())]);
    assert_eq!(read[0], ("one ".repeat(1000).into_bytes(), Some(b"key".to_vec()), headers));
    assert_eq!(read[1], (b"\xff\x00".to_vec(), None, BTreeMap::new()));

    let mut batch: Vec<KafkaRecord> = (0..50).map(|n| record("mail", &n.to_string())).collect();
    batch.iter_mut().for_each(|r| r.partition = Some(0));
    batch[7].partition = Some(99);
    batch[9].payload = Plain::Int(1);
    let failed = producer.send_batch(&batch);
    assert_eq!(failed.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [7, 9]);
    assert!(failed[0].1.contains("Unknown partition"), "{failed:?}");
    assert_eq!(read_back(&servers, "mail", 0, 48).len(), 48);
}

#[test]
fn tls_is_there_when_it_was_built_in() {
    let made = Producer::new(vec![property("security.protocol", "ssl")]);
    match (made, cfg!(feature = "kafka-tls")) {
        (Ok(_), true) => {}
        (Err(e), false) => assert!(e.contains("ssl") || e.contains("OpenSSL"), "{e}"),
        (Ok(_), false) => panic!("TLS without TLS"),
        (Err(e), true) => panic!("{e}"),
    }
}

#[test]
fn a_broker_that_is_down_is_an_error_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Accepts, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for (at, says) in [(closed, "Connection refused"), (mute.local_addr().unwrap(), "confirmed")] {
        let producer = Producer::new(vec![property("bootstrap.servers", at)]).unwrap();
        let mut r = record("t", "x");
        r.timeout = Duration::from_secs(3);
        let e = producer.send(&r).unwrap_err();
        assert!(e.contains("not confirmed within 3s") && e.contains(says), "{e}");
    }
}

#[test]
fn only_the_handler_that_sends_waits() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let w = world(&format!(
        "kumo.on('send', function()
           local p = kumo.kafka.build_producer {{ ['bootstrap.servers'] = '{}' }}
           local ok, e = pcall(p.send, p, {{ topic = 't', payload = 'x', timeout = 2 }})
           table.insert(order, 'send')
           return ok, tostring(e)
         end)
         order = {{}}
         kumo.on('quick', function() kumo.sleep(0.01) table.insert(order, 'quick') end)
         kumo.on('order', function() return order end)",
        mute.local_addr().unwrap()
    ));
    let call = |event: &str| {
        let f = w.policy.vm.ctx.last_handler(event).unwrap();
        let vm = w.policy.vm.clone();
        async move { vm.call::<mlua::MultiValue>("test", f, ()).await.unwrap() }
    };
    let (sent, _) =
        futures::executor::block_on(async { futures::join!(call("send"), call("quick")) });
    assert_eq!(sent[0], mlua::Value::Boolean(false));
    assert!(sent[1].to_string().unwrap().contains("not confirmed within 2s"), "{sent:?}");
    assert_eq!(w.fire("order", ()).unwrap(), serde_json::json!(["quick", "send"]));
}

#[test]
fn a_producer_that_is_not_closed_ends_when_it_is_collected() {
    let made = "for _ = 1, 300 do kumo.kafka.build_producer {} collectgarbage() end return 'ok'";
    let until = Instant::now() + Duration::from_secs(60);
    // Threads end beside the handler: it may be quicker than they are.
    while try_eval(made).is_err() && Instant::now() < until {}
    assert_eq!(eval("return kumo.kafka.build_producer({}) ~= nil"), serde_json::json!(true));
}

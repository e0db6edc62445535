//! What each building block of the hot path costs alone: `cargo bench -p ringmta-bench`, or
//! `cargo bench -p ringmta-bench -- NAME` for those whose name holds it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};
use futures::channel::oneshot;
use futures::executor::block_on;
use ringmta_events::record::{Client, Extras, Kind, Record};
use ringmta_io::{ring, wheel::Wheel, Block};
use ringmta_policy::{
    ConnMeta, EnvelopeAddress, HeaderBlock, Limit, Message, MessageId, Meta, Mode, NoHost,
    Patterns, Policy, Throttle,
};
use ringmta_queue::quota::lease::SharedLimit;
use ringmta_queue::timer_wheel::TimerWheel;
use ringmta_shard::mesh::{Inbox, Letter};
use ringmta_smtp::client::capabilities as client;
use ringmta_smtp::response::{ReplyReader, Response};
use ringmta_smtp::server::command;
use ringmta_smtp::server::dot_reader::{BareEndings, DotReader};
use ringmta_spool::log::partition::SpoolPaths;
use ringmta_spool::log::record::{self, NewRecord};
use ringmta_spool::start::replay::{self, Entries, FileId, Replay};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A message of about 10 KB in lines of 72 characters, as a sender's client makes them.
fn body() -> Vec<u8> {
    let mut body = b"From: Someone <a@src.example>\r\nTo: b@dst.example\r\nSubject: hello\r\n\
        Date: Sun, 22 Nov 2026 15:02:49 +0000\r\nMessage-ID: <1@src.example>\r\n\r\n"
        .to_vec();
    while body.len() < 10_240 {
        body.extend_from_slice(&[b'x'; 72]);
        body.extend_from_slice(b"\r\n");
    }
    body
}

fn address(text: &str) -> EnvelopeAddress {
    EnvelopeAddress::parse(text).unwrap()
}

fn message(number: u64, body: &Rc<Vec<u8>>) -> Message {
    let id = MessageId::new_v1(1_700_000_000_000_000_000 + number * 100, 1, [2; 6]);
    let (from, to) = (address("a@src.example"), vec![address("b@dst.example")]);
    Message::new(id, from, to, Meta::default(), body.clone())
}

fn lines(c: &mut Criterion) {
    let body = body();
    let mut group = c.benchmark_group("data");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut wire = Vec::new();
    client::data(&mut wire, &body);
    group.bench_function("dot reader", |b| {
        let mut out = Vec::with_capacity(16 * 1024);
        b.iter(|| {
            out.clear();
            let mut reader = DotReader::new(BareEndings::Deny, 1 << 20, 998);
            assert!(reader.read(black_box(&wire), &mut out).1);
        });
    });
    group.bench_function("dot stuffing", |b| {
        let mut out = Vec::with_capacity(16 * 1024);
        b.iter(|| {
            out.clear();
            client::data(&mut out, black_box(&body));
        });
    });
    group.bench_function("header scan", |b| {
        b.iter(|| {
            let block = HeaderBlock::new(black_box(&body));
            block.fields().filter(|field| field.is("Received")).count()
        });
    });
    group.finish();
}

fn parsers(c: &mut Criterion) {
    c.bench_function("command MAIL FROM", |b| {
        b.iter(|| {
            matches!(
                command::parse(black_box(
                    "MAIL FROM:<someone@src.example> SIZE=10240 BODY=8BITMIME"
                )),
                command::Command::Mail(_)
            )
        });
    });
    c.bench_function("reply 250", |b| {
        let mut reader = ReplyReader::default();
        b.iter(|| {
            reader.push(black_box(b"250 2.0.0 Ok: queued as 4ZTq2f0x2Kz1\r\n"));
            reader.next_reply().unwrap().unwrap().code
        });
    });
}

fn records(c: &mut Criterion) {
    let body = Rc::new(body());
    let message = message(0, &body);
    let (sender, recipients) = (message.sender(), message.recipients());
    let mut group = c.benchmark_group("spool");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("record and checksum", |b| {
        b.iter_batched_ref(
            || Block::in_memory(16 * 1024),
            |block| {
                let new = NewRecord {
                    id: message.id(),
                    created_nanos: 1,
                    generation: 0,
                    sender: &sender,
                    recipients: &recipients,
                    meta: &Meta::default(),
                    body: &body,
                };
                let (start, _) = record::append(block, &new);
                record::seal(block.tail_mut(start as usize), 1, 2);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();

    let file = FileId { number: 1, salt: 7 };
    let mut entries = Entries::default();
    entries.checkpoint(0);
    (0..100_000u32).for_each(|n| entries.done(n / 6000 + 1, n % 6000 * 8));
    let mut journal = Block::in_memory(4096);
    journal.extend(&[0; 4096]);
    replay::put_frame(&mut journal, &entries.bytes, file);
    let bytes = journal.tail_mut(0).to_vec();
    let mut group = c.benchmark_group("journal");
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(20);
    group.bench_function("replay of 100,000 entries", |b| {
        b.iter(|| {
            let mut replay = Replay::default();
            replay.read(black_box(&bytes), file, |_| panic!("damaged"));
            assert!(replay.is_done(1, 0));
        });
    });
    group.finish();
}

/// Rounds of `waiters` sessions that each store a message and wait; time per message.
fn group_commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("group commit, time per message");
    group.sample_size(10);
    for waiters in [1u64, 8, 64, 512] {
        group.bench_function(BenchmarkId::from_parameter(waiters), |b| {
            b.iter_custom(|iters| stored(waiters, iters.div_ceil(waiters).max(2)) * iters as u32);
        });
    }
    group.finish();
}

/// Time per message over so many rounds, on a disk of its own folder.
fn stored(waiters: u64, rounds: u64) -> Duration {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = dir.path().to_path_buf();
    let shard = ring::run_shard("bench", None, move || async move {
        let paths = SpoolPaths::new(path.join("data"), path.join("meta"), true);
        let (partition, ..) = ringmta_spool::start::open::open(&paths, 0, 1).await.unwrap();
        let body = Rc::new(body());
        let mut number = 0;
        let mut start = Instant::now();
        for round in 0..=rounds {
            if round == 1 {
                // The first opens the segment.
                start = Instant::now();
            }
            let mut commits = Vec::new();
            for _ in 0..waiters {
                number += 1;
                let message = message(number, &body);
                commits.push(partition.store(&message, &body).unwrap());
            }
            for commit in commits {
                partition.done(commit.await.unwrap());
            }
        }
        start.elapsed() / (rounds * waiters) as u32
    });
    shard.unwrap().join().unwrap().unwrap()
}

fn timers(c: &mut Criterion) {
    const COUNT: u64 = 1_000_000;
    let mut group = c.benchmark_group("queue timer, 1,000,000 entries");
    group.sample_size(10);
    group.throughput(Throughput::Elements(COUNT));
    group.bench_function("insert and expire", |b| {
        b.iter(|| {
            let mut wheel = TimerWheel::default();
            (0..COUNT).for_each(|n| wheel.insert(n * 7919 % 3_600_000, n as u32));
            let mut out = Vec::with_capacity(COUNT as usize);
            wheel.pop_due(3_600_000, usize::MAX, &mut out);
            out.len()
        });
    });
    group.finish();
    c.bench_function("deadline set and taken back", |b| {
        let mut wheel = Wheel::default();
        let waker = Waker::noop();
        let _others: Vec<_> =
            (0..1000).map(|n| wheel.set(n, Duration::from_secs(300), waker)).collect();
        b.iter(|| {
            let id = wheel.set(black_box(1000), Duration::from_secs(300), waker);
            wheel.take_back(id)
        });
    });
}

/// What a thread does with a shared state, for the n-th time.
type Call = fn(&SharedLimit, &Throttle, u64);

/// One state, taken by 1 to 16 threads at once: nanoseconds of wall clock per call of each thread.
fn shared_limits(c: &mut Criterion) {
    let rate = Throttle::parse("1000000000/s").unwrap();
    let calls: [(&str, Call); 2] = [
        ("lease taken and freed", |shared, _, _| {
            if shared.try_lease(0, Limit { local: true, limit: 1_000_000 }) {
                shared.untake(0);
            }
        }),
        ("GCRA", |shared, rate, n| {
            let _ = shared.try_rate(rate, n * 1000);
        }),
    ];
    for (name, call) in calls {
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        for threads in [1usize, 2, 4, 8, 16] {
            group.bench_function(BenchmarkId::new("threads", threads), |b| {
                b.iter_custom(|iters| {
                    let shared = Arc::new(SharedLimit::default());
                    let start = Instant::now();
                    std::thread::scope(|scope| {
                        for _ in 0..threads {
                            let shared = shared.clone();
                            scope.spawn(move || (0..iters).for_each(|n| call(&shared, &rate, n)));
                        }
                    });
                    start.elapsed()
                });
            });
        }
        group.finish();
    }
}

fn events(c: &mut Criterion) {
    let body = Rc::new(body());
    let message = message(0, &body);
    let response =
        Response { code: 250, content: "2.0.0 Ok: queued".into(), ..Response::default() };
    let recipients = message.recipients();
    let (meta, headers) = (Patterns::default(), Patterns::default());
    c.bench_function("log record", |b| {
        let mut out = Vec::with_capacity(4096);
        b.iter(|| {
            out.clear();
            let mut record =
                Record::of_message(Kind::Reception, &message, "dst.example", &response);
            record.recipients = &recipients;
            record.client = Some(Client { name: "client.example", addr: "192.0.2.1" });
            let extras = Extras { meta: &meta, headers: &headers };
            let shared = record.shared("node", 1_700_000_000_000_000_000, "Uncategorized");
            shared.put(&mut out, Some(&message), &extras);
            out.len()
        });
    });
}

/// A letter to another shard and the answer to it, both shards with nothing else to do: twice the way, two
/// wake-ups.
fn mesh(c: &mut Criterion) {
    c.bench_function("mesh, there and back", |b| {
        b.iter_custom(|iters| {
            let theirs = Arc::new(Inbox::default());
            let answering = ring::run_shard("answers", None, {
                let theirs = theirs.clone();
                move || async move {
                    while let Letter::Cancel(_, answer) = theirs.receive().await {
                        let _ = answer.send(true);
                    }
                }
            });
            let asking = ring::run_shard("asks", None, move || async move {
                let start = Instant::now();
                for _ in 0..iters {
                    let (answer, answered) = oneshot::channel();
                    assert!(theirs.send(Letter::Cancel(String::new(), answer)).is_ok());
                    assert!(answered.await.unwrap());
                }
                let took = start.elapsed();
                assert!(theirs.send(Letter::Stop).is_ok());
                took
            });
            let took = asking.unwrap().join().unwrap().unwrap();
            answering.unwrap().join().unwrap().unwrap();
            took
        });
    });
    c.bench_function("mesh, letter in and out of a box", |b| {
        let inbox = Inbox::default();
        b.iter(|| {
            assert!(inbox.send(Letter::Stop).is_ok());
            matches!(block_on(inbox.receive()), Letter::Stop)
        });
    });
}

/// A handler of an event, called as a shard calls it.
fn lua(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("Lua event");
    for (name, handler) in [
        ("no handler", ""),
        ("empty handler", "kumo.on('smtp_server_rcpt_to', function(to) end)"),
        ("address read", "kumo.on('smtp_server_rcpt_to', function(to) local d = to.domain end)"),
    ] {
        let file = dir.path().join("init.lua");
        std::fs::write(&file, format!("local kumo = require 'kumo'\n{handler}\n")).unwrap();
        let shared = ringmta_policy::Shared::new(1);
        let policy = Policy::load(&file, shared, Rc::new(NoHost), Mode::Run).unwrap();
        block_on(policy.run_init()).unwrap();
        let (to, conn) = (address("b@dst.example"), ConnMeta::new());
        group.bench_function(name, |b| {
            b.iter(|| block_on(policy.rcpt_to(black_box(&to), &conn)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    lines,
    parsers,
    records,
    timers,
    shared_limits,
    mesh,
    lua,
    events,
    group_commit
);
criterion_main!(benches);

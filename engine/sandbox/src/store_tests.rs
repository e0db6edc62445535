//! The same tried on both kinds of stores.

use crate::choice::{Change, Which};
use crate::database::Database;
use crate::limits::SANDBOX_EVENTS_QUEUED;
use crate::message::{Envelope, SessionInfo};
use crate::search::Search;
use crate::settings::{DatabaseFile, Keeping};
use crate::store::Store;
use futures::future::LocalBoxFuture;
use ringmta_io::ring::run_shard;
use std::path::Path;
use std::time::Duration;

fn file(dir: &Path) -> DatabaseFile {
    DatabaseFile { path: dir.join("inbox.db"), compression: 1, wal: true, vacuum: true }
}

fn in_database(dir: &Path, keeping: Keeping) -> Store {
    Store::in_database(Database::open(&file(dir), keeping.most()).unwrap(), keeping)
}

/// Tries it with messages in memory, and with messages in a database.
fn with_both(keeping: Keeping, work: fn(Store) -> LocalBoxFuture<'static, ()>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let shard = run_shard("test", None, move || async move {
        work(Store::in_memory(keeping.clone())).await;
        work(in_database(&path, keeping)).await;
    });
    shard.unwrap().join().unwrap().unwrap();
}

async fn add(store: &Store, source: &str) -> String {
    let envelope = Envelope { mail_from: "a@b.test".into(), rcpt_to: vec!["hidden@c.test".into()] };
    store.add(envelope, SessionInfo::default(), source.as_bytes().to_vec()).await.unwrap()
}

async fn found(store: &Store, query: &str) -> Vec<String> {
    let page = store.page(&Search::parse(query).unwrap(), 0, 100).await.unwrap();
    assert_eq!(page.matching, page.messages.len());
    page.messages.iter().map(|one| one["Subject"].as_str().unwrap().to_string()).collect()
}

fn ids(ids: &[&String]) -> Which {
    Which::Ids(ids.iter().map(|id| id.to_string()).collect())
}

fn keep(max_messages: usize) -> Keeping {
    Keeping { max_messages, ..Keeping::default() }
}

#[test]
fn counts_stay_right_over_changes() {
    with_both(keep(3), |store| {
        Box::pin(async move {
            let mut all = Vec::new();
            for subject in ["one", "two", "three", "four"] {
                all.push(add(&store, &format!("Subject: {subject}\r\n\r\n")).await);
            }
            assert_eq!((store.totals(), store.counters().evicted), ((3, 3), 1));
            let read = ids(&[&all[3], &all[3], &all[0]]);
            store.set_read(&read, true).await.unwrap();
            store.set_read(&read, true).await.unwrap();
            assert_eq!(store.totals(), (3, 2));
            assert_eq!(found(&store, "is:read").await, ["four"]);
            store.delete(&read).await.unwrap();
            assert_eq!((store.totals(), store.counters().deleted), ((2, 2), 1));
            assert!(store.get(&all[3]).await.unwrap().is_none());
            assert_eq!(found(&store, "").await, ["three", "two"]);
            store.delete(&Which::Matching(Search::default())).await.unwrap();
            assert_eq!((store.totals(), store.counters().deleted), ((0, 0), 3));
            add(&store, "Subject: five\r\n\r\n").await;
            assert_eq!(found(&store, "five").await, ["five"]);
        })
    });
}

#[test]
fn searches() {
    with_both(keep(100), |store| {
        Box::pin(async move {
            add(&store, "From: Ann Larsen <ann@example.com>\r\nTo: bob+t1@example.org\r\nSubject: \"first\" 日本\r\n\
                Message-ID: <one@x.test>\r\n\r\nThe quick brown fox\r\n")
            .await;
            add(&store, "From: Carl <carl@example.com>\r\nCc: ann@example.com\r\nSubject: second\r\n\r\nThe lazy dog\r\n").await;
            for (query, wanted) in [
                ("the", vec!["second", "\"first\" 日本"]),
                ("quick fox", vec!["\"first\" 日本"]),
                ("\"quick brown\"", vec!["\"first\" 日本"]),
                ("uick bro", vec!["\"first\" 日本"]),
                ("-quick", vec!["second"]),
                ("ox", vec!["\"first\" 日本"]),
                ("-ox the", vec!["second"]),
                ("from:ann", vec!["\"first\" 日本"]),
                ("from:\"ann larsen\"", vec!["\"first\" 日本"]),
                ("addressed:ann@", vec!["second", "\"first\" 日本"]),
                ("cc:ann -from:ann", vec!["second"]),
                ("subject:日本", vec!["\"first\" 日本"]),
                ("bcc:hidden", vec!["second", "\"first\" 日本"]),
                ("message-id:one@x", vec!["\"first\" 日本"]),
                ("tag:T1", vec!["\"first\" 日本"]),
                ("-is:tagged", vec!["second"]),
                ("larger:1M", vec![]),
                ("after:2020-01-01 smaller:1M", vec!["second", "\"first\" 日本"]),
                ("before:2020-01-01", vec![]),
                ("has:attachment", vec![]),
                ("absent", vec![]),
                ("a\"b OR *", vec![]),
            ] {
                assert_eq!(found(&store, query).await, wanted, "{query}");
            }
            let newest = store.newest(&Search::parse("quick").unwrap()).await.unwrap().unwrap();
            assert_eq!(
                (newest.parsed.message_id.as_str(), newest.envelope.rcpt_to.len()),
                ("one@x.test", 1)
            );
        })
    });
}

/// Texts that most messages have are looked for in another way than rare ones, together with them, negated, and in
/// columns of their own.
#[test]
fn common_and_rare_texts() {
    with_both(keep(1000), |store| {
        Box::pin(async move {
            for number in 0..300 {
                let (other, third) = (number % 2, number % 3);
                add(&store, &format!("From: Sender {third} <s{third}@example.com>\r\nSubject: Message Nr. {number}\r\n\r\n\
                    the common words of everybody, and parity-{other} of them, rare{number}x\r\n")).await;
            }
            let every =
                |is: fn(usize) -> bool| move || (0..300).filter(|number| is(*number)).count();
            let all = every(|_| true)();
            for (query, wanted) in [
                ("\"the common words of everybody\"", all),
                ("\"the common words of everybody\" rare7x", 1),
                ("rare7x -\"the common words of everybody\"", 0),
                ("-\"the common words of everybody\"", 0),
                ("\"and parity-1 of them\"", 150),
                (
                    "\"and parity-1 of them\" from:\"sender 2\"",
                    every(|n| n % 2 == 1 && n % 3 == 2)(),
                ),
                (
                    "-\"and parity-1 of them\" -from:s1@example.com",
                    every(|n| n % 2 == 0 && n % 3 != 1)(),
                ),
                ("ey em", 0),
                ("ev \"common words\"", all),
                ("subject:nr", all),
                ("subject:\"message nr. 29\"", 11),
                ("addressed:\"example.com\"", all),
                ("subject:common", 0),
                ("rare299x", 1),
            ] {
                let search = Search::parse(query).unwrap();
                let page = store.page(&search, 0, 5).await.unwrap();
                assert_eq!(page.matching, wanted, "{query}");
            }
        })
    });
}

#[test]
fn tags_change() {
    with_both(keep(10), |store| {
        Box::pin(async move {
            let one = add(&store, "X-Tags: red, Blue\r\nSubject: one\r\n\r\n").await;
            let two = add(&store, "X-Tags: RED\r\nSubject: two\r\n\r\n").await;
            assert_eq!(store.tags().await.unwrap().into_values().collect::<Vec<_>>(), [1, 2]);
            let inbox = store.hub.listen();
            store.retag(&Change::Rename("red".into(), "green".into())).await.unwrap();
            let mut events: Vec<String> = Vec::new();
            while let Some(text) = inbox.next() {
                events.push(text.to_string());
            }
            assert_eq!(events.len(), 2, "{events:?}");
            assert!(events.iter().any(|text| text.contains(&two) && text.contains("[\"green\"]")));
            assert_eq!(store.tags().await.unwrap().get("green"), Some(&2));
            store.retag(&Change::Delete("GREEN".into())).await.unwrap();
            assert_eq!(found(&store, "is:tagged").await, ["one"]);
            store.retag(&Change::Set(vec![two.clone()], vec!["x".into()])).await.unwrap();
            store.retag(&Change::Set(vec![one], vec![])).await.unwrap();
            assert_eq!(found(&store, "is:tagged").await, ["two"]);
            assert_eq!(*store.get(&two).await.unwrap().unwrap().tags.borrow(), ["x"]);
        })
    });
}

#[test]
fn what_is_kept_and_how_it_is_ordered() {
    let keeping = Keeping {
        use_message_dates: true,
        ignore_duplicate_ids: true,
        max_age: Some(Duration::from_secs(365 * 86_400)),
        ..keep(10)
    };
    with_both(keeping, |store| {
        Box::pin(async move {
            let mail = |id: &str, date: &str| {
                format!("Message-ID: <{id}>\r\nDate: {date}\r\nSubject: {id}\r\n\r\n")
            };
            add(&store, &mail("late", "Sun, 22 Nov 2026 15:10:00 +0000")).await;
            add(&store, &mail("early", "Sat, 21 Nov 2026 15:10:00 +0000")).await;
            add(&store, &mail("old", "Sat, 21 Nov 2015 15:10:00 +0000")).await;
            add(&store, &mail("late", "Sat, 21 Nov 2026 15:10:00 +0000")).await;
            assert_eq!(found(&store, "").await, ["late", "early", "old"]);
            assert_eq!((store.counters().accepted, store.counters().ignored), (3, 1));
            store.expire().await.unwrap();
            assert_eq!(found(&store, "").await, ["late", "early"]);
        })
    });
}

#[test]
fn the_byte_bound_drops_the_oldest_but_never_the_newest() {
    let keeping = Keeping { max_bytes: 21_000, ..keep(100) };
    let store = Store::in_memory(keeping);
    futures::executor::block_on(async {
        let first = add(&store, &"x".repeat(6000)).await;
        let second = add(&store, &"y".repeat(9000)).await;
        let third = add(&store, &"z".repeat(9000)).await;
        assert!(store.get(&first).await.unwrap().is_none(), "{}", store.bytes());
        let huge = add(&store, &"z".repeat(50_000)).await;
        for gone in [&second, &third] {
            assert!(store.get(gone).await.unwrap().is_none());
        }
        assert!(store.get(&huge).await.unwrap().is_some());
        store.delete(&Which::Matching(Search::default())).await.unwrap();
        assert_eq!((store.totals(), store.bytes()), ((0, 0), 0));
    });
}

#[test]
fn a_slow_listener_is_told_that_it_lost_events() {
    let store = Store::in_memory(keep(10));
    futures::executor::block_on(async {
        let inbox = store.hub.listen();
        for _ in 0..=SANDBOX_EVENTS_QUEUED {
            add(&store, "x").await;
        }
        assert!(inbox.overflowed());
        assert!(inbox.next().is_none());
    });
}

#[test]
fn a_database_outlives_its_process_and_is_one_processs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let shard = run_shard("test", None, move || async move {
        let id = {
            let store = in_database(&path, keep(10));
            let id = add(&store, "X-Tags: a\r\nSubject: kept\r\n\r\nbody\r\n").await;
            add(&store, "Subject: also\r\n\r\n").await;
            store.set_read(&ids(&[&id]), true).await.unwrap();
            let error = Database::open(&file(&path), 10).err().unwrap();
            assert!(error.contains("in use"), "{error}");
            id
        };
        // The thread of the first lets go when it has ended.
        let store = loop {
            match Database::open(&file(&path), 1000) {
                Ok(database) => break Store::in_database(database, keep(1000)),
                Err(_) => ringmta_io::sleep(Duration::from_millis(1)).await,
            }
        };
        assert_eq!(store.totals(), (2, 1));
        assert_eq!(found(&store, "kept tag:a is:read").await, ["kept"]);
        let stored = store.get(&id).await.unwrap().unwrap();
        assert_eq!(stored.source.as_ref(), b"X-Tags: a\r\nSubject: kept\r\n\r\nbody\r\n");
        assert!(stored.read.get() && store.bytes() > 0);
    });
    shard.unwrap().join().unwrap().unwrap();
}

#[test]
fn files_of_others_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = file(dir.path());
    let error = || Database::open(&database, 10).err().unwrap();
    std::fs::write(
        &database.path,
        "not a database, and longer than its header would be".repeat(40),
    )
    .unwrap();
    assert!(error().contains("no database of SQLite's"), "{}", error());
    std::fs::remove_file(&database.path).unwrap();
    let other = rusqlite::Connection::open(&database.path).unwrap();
    other.execute_batch("CREATE TABLE mailbox (x)").unwrap();
    drop(other);
    assert!(error().contains("another program's"), "{}", error());
    let nowhere = DatabaseFile { path: dir.path().join("no/such/folder"), ..database.clone() };
    assert!(Database::open(&nowhere, 10).is_err());
}

//! `ringmta ctl` as an operator types it.

use crate::support::{message, wait, wait_some, Engine, Site};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::process::Command;

/// Exit code, standard output, standard error.
fn ctl(engine: &Engine, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    for name in ["RINGMTA_CTL_USER", "RINGMTA_CTL_PASSWORD_FILE", "RINGMTA_CTL_TOKEN_FILE"] {
        command.env_remove(name);
    }
    let url = engine.url("");
    let out = command.arg("ctl").args(["--endpoint", &url]).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

#[test]
fn queues_and_orders_in_columns_or_as_json() {
    // Nobody takes mail there: it waits.
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    assert_eq!(ctl(&engine, &["queues"]).1, "no mail waits\n");
    assert_eq!(ctl(&engine, &["orders"]).1, "no orders\n");
    for _ in 0..4 {
        let mut client = engine.greeted();
        let reply = client.transaction("a@src.test", &["u@dst.test"], &message("waits"));
        assert_eq!(reply.code, 250);
    }
    let (code, text, _) = ctl(&engine, &["queues"]);
    assert_eq!(code, 0);
    let row = text.lines().find(|line| line.starts_with("dst.test")).unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("4"), "{text}");
    assert!(text.contains("4 messages in all"), "{text}");
    let args = ["suspend", "--domain", "dst.test", "--reason", "a talk", "--duration", "1h"];
    assert_eq!(ctl(&engine, &args).0, 0);
    let (_, text, _) = ctl(&engine, &["orders"]);
    assert!(text.contains("suspend") && text.contains("domain dst.test"), "{text}");
    assert!(text.contains("a talk"), "{text}");
    let (_, json, _) = ctl(&engine, &["orders", "--json"]);
    let orders: Value = serde_json::from_str(&json).unwrap();
    let id = orders["suspend"][0]["id"].as_str().unwrap();
    assert_eq!(ctl(&engine, &["cancel", id]).0, 0);
    assert_eq!(ctl(&engine, &["orders"]).1, "no orders\n");
}

#[test]
fn who_asks_is_told_by_a_file() {
    let mut site = Site::new();
    site.http = "administration_hosts = {}, administration_groups = { 'ops' },".into();
    site.extra = "kumo.on('http_server_validate_auth_basic', function(user, password)
      return password == 's3cret' and { identities = { user }, groups = { user } }
    end)"
        .into();
    let engine = site.start(1);
    let (code, _, said) = ctl(&engine, &["queues"]);
    assert!(code != 0 && said.contains("--password-file"), "{said}");
    let file = site.dir.path().join("password");
    std::fs::write(&file, "s3cret\nnot this\n").unwrap();
    let file = file.display().to_string();
    let (code, text, said) = ctl(&engine, &["--user", "ops", "--password-file", &file, "queues"]);
    assert_eq!((code, text.as_str()), (0, "no mail waits\n"), "{said}");
    assert_eq!(ctl(&engine, &["--user", "ops:s3cret", "queues"]).0, 0);
    assert_ne!(ctl(&engine, &["--user", "ops:guess", "queues"]).0, 0);
    let (_, _, said) = ctl(&engine, &["--user", "ops", "queues"]);
    assert!(said.contains("--user NAME needs --password-file FILE"), "{said}");
}

#[test]
fn tables_are_sorted_by_a_column() {
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    for (domain, count) in [("b.test", 1), ("a.test", 3), ("c.test", 2)] {
        for _ in 0..count {
            engine.accept("a@src.test", &[&format!("u@{domain}")], &message("waits"));
        }
    }
    let names = |args: &[&str]| -> Vec<String> {
        let (code, text, said) = ctl(&engine, args);
        assert_eq!(code, 0, "{said}");
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|name| name.ends_with(".test")).map(String::from).collect()
    };
    assert_eq!(names(&["queues"]), ["a.test", "c.test", "b.test"]);
    assert_eq!(names(&["queues", "--sort", "queue"]), ["a.test", "b.test", "c.test"]);
    assert_eq!(
        names(&["queues", "--sort", "Messages", "--reverse"]),
        ["b.test", "c.test", "a.test"]
    );
    for duration in ["2h", "3d", "10m"] {
        let domain = format!("{duration}.test");
        let args = ["suspend", "--domain", &domain, "--reason", "r", "--duration", duration];
        assert_eq!(ctl(&engine, &args).0, 0);
    }
    let (_, text, _) = ctl(&engine, &["orders", "--sort", "still"]);
    let about: Vec<&str> =
        text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(about, ["3d.test", "2h.test", "10m.test"], "{text}");
    let (code, _, said) = ctl(&engine, &["queues", "--sort", "mesages"]);
    assert!(code == 1 && said.contains("did you mean `messages`?"), "{said}");
    let (_, _, said) = ctl(&engine, &["top", "--sort", "delivred/s"]);
    assert!(said.contains("did you mean `delivered/s`?"), "{said}");
    let (_, text, _) = ctl(&engine, &["path", "a.test", "--sort", "option", "--reverse"]);
    assert!(text.find("use_lmtp").unwrap() < text.find("connection_limit  ").unwrap(), "{text}");
    let (_, _, said) = ctl(&engine, &["machine", "--sort", "name"]);
    assert!(said.contains("--sort: this command prints no table"), "{said}");
    let (code, _, said) = ctl(&engine, &["queues", "--sort", "queue", "--json"]);
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_message_is_held_and_released() {
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("waits")).remove(0);
    let hold = || {
        assert_eq!(ctl(&engine, &["hold", &id, "--reason", "a look"]).0, 0);
        let held = engine.get("/api/admin/hold/v1").expect(200).json();
        assert_eq!((&held[0]["message"], &held[0]["reason"]), (&json!(id), &json!("a look")));
        held[0]["id"].as_str().unwrap().to_string()
    };
    hold();
    assert!(ctl(&engine, &["orders"]).1.contains(&format!("message {id}")));
    wait("what is held to stay", || {
        ctl(&engine, &["try-now", &id]).2.contains("is held by an order: `ringmta ctl why`")
    });
    assert_eq!(ctl(&engine, &["release", &id]).0, 0);
    assert_eq!(ctl(&engine, &["orders"]).1, "no orders\n");
    let order = hold();
    assert_eq!(ctl(&engine, &["cancel", &order]).0, 0);
    assert_eq!(ctl(&engine, &["orders"]).1, "no orders\n");
    wait("the message to wait", || {
        ctl(&engine, &["delete", &id, "--reason", "of no use"]).1.contains("1 message is failed")
    });
    engine.wait_empty();
}

#[test]
fn messages_are_deleted_by_the_id_of_their_header_and_bounced_by_queue() {
    let site = Site::to("127.0.0.1:1".parse().unwrap());
    let engine = site.start(2);
    let with_id = |id: &str| format!("Message-ID: <{id}>\r\nSubject: x\r\n\r\nhi\r\n").into_bytes();
    let of = |id: &str, domain: &str| {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &with_id(id)).remove(0)
    };
    let (first, second) = (of("one@x.test", "a.test"), of("one@x.test", "b.test"));
    let others = [of("one@x.testing", "a.test"), of("two@x.test", "b.test")];
    let waits =
        |id: &String| engine.get(&format!("/api/admin/inspect-message/v1?id={id}")).status == 200;
    let fail = |more: &[&str]| {
        let args = [&["delete", "--message-id", "<one@x.test>", "--reason", "r"], more].concat();
        let (code, text, said) = ctl(&engine, &args);
        assert_eq!(code, 0, "{said}");
        text
    };
    // Until its first attempt has failed a message may be in the hand of a task.
    wait("the one of that domain", || {
        fail(&["--domain", "b.test"]).contains("1 message is failed")
    });
    wait("its end", || !waits(&second));
    assert!(waits(&first), "it has another domain");
    wait("the other", || fail(&[]).contains("1 message is failed"));
    wait("its end", || !waits(&first));
    assert!(others.iter().all(waits));
    wait("their records", || site.records_of("AdminBounce").len() == 2);

    let args = ["bounce", "--queue", "b.test", "--suppress-logging", "--reason", "r"];
    assert_eq!(ctl(&engine, &args).0, 0);
    wait("the end of what was in that queue", || !waits(&others[1]));
    assert!(waits(&others[0]));
    assert!(engine.terminate().success());
    assert_eq!(site.records_of("AdminBounce").len(), 2, "of the last there is no record");
}

#[test]
fn what_is_wrong_gets_the_nearest() {
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    engine.accept("a@src.test", &["u@dst.test"], &message("waits"));
    let says = |args: &[&str], code: i32, words: &[&str]| {
        let (is, _, said) = ctl(&engine, args);
        assert_eq!(is, code, "{args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?}: {said}");
        }
    };
    says(&["quues"], 2, &["unrecognized subcommand 'quues'", "'queues'"]);
    says(&["queues", "--jsn"], 2, &["unexpected argument '--jsn'", "'--json'"]);
    says(&["tail", "--live", "--type", "Delivry"], 2, &["'Delivry'", "'Delivery'"]);
    says(&["why", "dst.tset"], 1, &["404", "did you mean `dst.test`?"]);
    says(&["why", "x", "--as", "mesage"], 2, &["'message'"]);
    says(&["queue", "dst.tes"], 1, &["no queue called dst.tes; did you mean `dst.test`?"]);
    says(&["ready-states", "no->such@smtp_client"], 1, &["no such ready queue no->such"]);
    says(&["try-now", "dts.test"], 1, &["queue `dts.test`", "did you mean `dst.test`?"]);
    says(&["delete", "dst.tst", "--reason", "r"], 1, &["did you mean `dst.test`?"]);
    says(&["spool-compact", "mta"], 1, &["no spool named 'mta'", "did you mean `meta`?"]);
    says(
        &["metrics", "mesage_count"],
        1,
        &["begins with mesage_count; did you mean message_count?"],
    );
    let watched = ["--watch", "1", "suspend", "--domain", "x.test", "--reason", "r"];
    says(&watched, 1, &["--watch asks again and again: it is for what changes nothing"]);
    says(&["suspend", "--reason", "r"], 1, &["that is every queue", "--everything"]);
    says(&["trace", "--domain", "dst.test"], 2, &["--outgoing"]);
    let soon = ["suspend", "--domain", "x.test", "--reason", "r", "--duration", "soon"];
    says(&soon, 1, &["422", "duration: \"soon\" is not a duration, such as \"10m\" or 600"]);
    says(&["find", "x", "--since", "soon"], 1, &["400", "since: \"soon\" is not a duration"]);
    let args = ["suspend", "--domain", "x.test", "--reason", "r", "--json"];
    let (_, text, _) = ctl(&engine, &args);
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_string();
    let wrong = &id[..id.len() - 1];
    says(&["cancel", wrong], 1, &["is in force", &format!("did you mean {id}?")]);
    says(&["cancel", "nothing"], 1, &["no order nothing is in force"]);
    let id = "0123456789abcdef0123456789abcdef";
    says(&["message", id], 1, &["it was never here, or it has left"]);
    says(&["try-now", id], 1, &["no such message waits for its time here"]);
}

/// Each verb says its answer for people, and with `--json` as JSON.
#[test]
fn every_verb_says_it_in_words_and_as_json() {
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    let id = engine.accept("a@src.test", &["u@dst.test"], &message("waits")).remove(0);
    let ready = wait_some("a ready queue", || {
        let (_, text, _) = ctl(&engine, &["queues"]);
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|name| name.ends_with("@smtp_client")).map(String::from).next()
    });
    let of_rebind = ["rebind", "--domain", "dst.test", "--set", "tenant=acme", "--reason", "r"];
    let verbs: &[(&[&str], &str)] = &[
        (&["alive"], "OK"),
        (&["queues"], "1 message in all"),
        (&["queue", "dst.test"], "a@src.test  u@dst.test"),
        (&["ready", &ready], "hosts        127.0.0.1"),
        (&["why", "dst.test"], "queue dst.test"),
        (&["find", "u@dst.test"], "from a@src.test by "),
        (&["top"], "memory of the process, MB"),
        (&["message", &id, "--body"], "<a@src.test> to <u@dst.test>"),
        (&["metrics", "message_count"], "# TYPE message_count gauge"),
        (&["ready-states"], "no limit holds a ready queue up"),
        (&["path", "dst.test"], "path options, set by kumo.make_egress_path at "),
        (&["machine"], "cores"),
        (&["memory"], "being received"),
        (&["tasks"], "shard 1\n"),
        (&["self-check"], "all is well: 1 message"),
        (&["settings"], "operators have set nothing"),
        (&["hold", &id, "--reason", "r"], "is in force"),
        (&["orders"], "failed  id"),
        (&["release", &id], "ended: order "),
        (&["hold", "x.test", "--reason", "r"], "is in force"),
        (&["release", "x.test"], "ended: order "),
        (&["try-now", "dst.test"], "1 message is due now"),
        (&["suspend", "--domain", "y.test", "--reason", "r"], "is in force"),
        (&["suspend-ready", &ready, "--reason", "r"], "is in force"),
        (&of_rebind, "1 message was moved"),
        (&["spool-compact", "data"], "OK"),
        (&["bump-epoch"], "OK"),
        (&["log-filter", "info"], "OK"),
        (&["settings"], "log filter"),
        (&["bounce", "--tenant", "acme", "--reason", "r"], "failed so far"),
        (&["reload"], "reloaded"),
    ];
    for (args, words) in verbs {
        // What is on its way just now, such as a delivery that fails, is looked at again.
        wait(&format!("{args:?} to say {words:?}"), || {
            let (_, text, _) = ctl(&engine, args);
            let is_json = serde_json::from_str::<Value>(&text)
                .is_ok_and(|it| it.is_object() || it.is_array());
            text.contains(words) && !is_json
        });
        let of_json = [*args, &["--json"]].concat();
        let (code, text, said) = ctl(&engine, &of_json);
        let is_once = said.contains("404");
        assert!(
            (code == 0 && serde_json::from_str::<Value>(&text).is_ok()) || is_once,
            "{args:?}: {text}{said}"
        );
    }
}

#[test]
fn a_queue_is_read_page_by_page() {
    let engine = Site::to("127.0.0.1:1".parse().unwrap()).start(2);
    let all: BTreeSet<String> = (0..11)
        .map(|_| engine.accept("a@src.test", &["u@dst.test"], &message("waits")).remove(0))
        .collect();
    // What is being tried is on no page: each is held where it waits.
    let hold = ["hold", "dst.test", "--reason", "a look"];
    assert_eq!(ctl(&engine, &hold).0, 0);
    wait("all of them to wait", || {
        let (_, text, _) = ctl(&engine, &["queue", "dst.test", "--limit", "100", "--json"]);
        let queue: Value = serde_json::from_str(&text).unwrap();
        queue["num_scheduled"] == all.len()
    });
    let mut seen = BTreeSet::new();
    for skip in [0, 4, 8] {
        let args = ["queue", "dst.test", "--limit", "4", "--skip", &skip.to_string()];
        let (_, text, _) = ctl(&engine, &args);
        let ids = text.lines().filter_map(|line| line.split_whitespace().next());
        let before = seen.len();
        seen.extend(ids.filter(|id| id.len() == 32).map(String::from));
        assert_eq!(seen.len() - before, if skip < 8 { 4 } else { 3 }, "{text}");
        let note = format!("{} to {} of 11 messages", skip + 1, seen.len());
        assert!(text.contains(&note), "{text}");
        assert_eq!(text.contains(&format!("--skip {}", seen.len())), skip < 8, "{text}");
    }
    assert_eq!(seen, all);
}

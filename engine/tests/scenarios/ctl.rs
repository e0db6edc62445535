//! `ringmta ctl` as an operator types it.

use crate::support::{message, Engine, Site};
use serde_json::Value;
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

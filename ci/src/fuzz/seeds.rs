//! Inputs to begin with: one of each kind that a target tells apart.

use super::{journal, record};
use ringmta_spool::start::replay::{Entries, FileId};

/// Writes the inputs of `target` into the folder `FUZZ_SEEDS` names, if it does.
pub fn write(target: &str) {
    let Some(dir) = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    let inputs = all().into_iter().find(|(name, _)| *name == target).expect("seeds of a target").1;
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(dir.join(format!("seed-{number}")), input).expect("a folder for seeds");
    }
}

/// Tries every beginning of each input: the other side may hang up anywhere.
#[cfg(test)]
pub fn check_beginnings(inputs: &[Vec<u8>], check: super::Check) {
    for input in inputs {
        for cut in 1..=input.len() {
            check(&input[..cut]);
        }
    }
}

/// (target, inputs).
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let behind = |first: u8, rest: &[u8]| [&[first], rest].concat();
    let body = b"Subject: x\r\n\r\nHello\r\n".as_slice();
    let records = [record::made(1, 1, body), record::made(5, 3, b""), record::made(2, 0, body)];
    let mut entries = Entries::default();
    entries.checkpoint(7);
    entries.kept(7, 3);
    entries.done(7, 4096);
    entries.attempt(
        7,
        8192,
        ringmta_spool::log::reclaim::AttemptState { attempts: 2, due_millis: 1 << 40 },
    );
    let file = journal::file(
        FileId { number: 3, salt: 0x0bad_cafe },
        &[entries.bytes.clone(), entries.bytes.clone()],
    );
    let built: Vec<u8> = (0..60u8).map(|n| n.wrapping_mul(37)).collect();
    let wires: [&[u8]; 4] = [
        b"Subject: x\r\n\r\n..stuffed\r\n.\r\nMAIL",
        b".\r\n",
        b"a\nb\rc\r\n.\r.\r\n\r\n.\r\n",
        b"a\r\n.\n.\r\nb\r\n",
    ];
    let lines: [&[u8]; 5] = [
        b"MAIL FROM:<@r1,@r2:\"a>b\"@c> SIZE=1 BODY=8BITMIME",
        b"rcpt to: <a@b>",
        b"EHLO x.test",
        b"AUTH PLAIN AGEAYg==",
        b"GET / HTTP/1.1",
    ];
    let replies: [&[u8]; 3] = [
        b"250-a.test\r\n250-SIZE 10\r\n250 OK\r\n354\r\n",
        b"550-5.7.1 first\r\n550 5.7.1 second\r\n",
        b"220 x\r\nhello\r\n",
    ];
    vec![
        ("record", records.iter().flat_map(|r| [behind(0, r), behind(1, r)]).collect()),
        ("journal", vec![behind(0, &file), behind(1, &entries.bytes), behind(2, &built)]),
        (
            "segment",
            vec![behind(1, &built), behind(0, &[vec![0; 4096], records.concat()].concat())],
        ),
        ("dot_reader", wires.iter().map(|wire| behind(3, wire)).collect()),
        ("command", lines.iter().map(|line| line.to_vec()).collect()),
        ("reply", replies.iter().map(|wire| behind(2, wire)).collect()),
        ("conversation", super::conversation::seeds()),
        ("session", super::session::seeds()),
        ("proxy_header", super::proxy_header::seeds()),
        ("xclient", super::xclient::seeds()),
        ("address", super::address::seeds()),
        ("header", super::header::seeds()),
        ("mime", super::mime::seeds()),
        ("template", super::template::seeds()),
        ("injection", super::injection::seeds()),
        ("dns_answer", super::dns_answer::seeds()),
        ("mta_sts", super::mta_sts::seeds()),
        ("sender_auth", super::sender_auth::seeds()),
        ("certificate", super::certificate::seeds()),
        ("websocket", super::websocket::seeds()),
        ("http_request", super::http_request::seeds()),
        ("http_answer", super::http_answer::seeds()),
    ]
}

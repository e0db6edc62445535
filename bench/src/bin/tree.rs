//! What the example tree costs per message, in microseconds: its handlers fired as a shard fires them, for a connection that
//! brings ten messages.
//!
//! `cargo run --profile dist -p ringmta-bench --bin tree [messages]`. The machine's noise is out of the figure when two runs
//! under `valgrind --tool=callgrind` are compared: instructions are counted then.

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use futures::executor::block_on;
use ringmta_policy::{
    ConnMeta, EnvelopeAddress, Message, MessageId, Mode, NoHost, Policy, PolicyError, Shared,
};

/// Messages of one connection.
const PER_CONNECTION: u64 = 10;
/// Of connections that are open at once and take turns.
const CONNECTIONS: usize = 50;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/example");
    for (name, value) in [("RINGMTA_MODE", "development"), ("KUMOMTA_WEBHOOK_URL", "")] {
        std::env::set_var(name, value);
    }
    let start = Instant::now();
    match run(&root.join("init.lua"), count) {
        Ok(()) => {
            println!("{:.2} us per message", start.elapsed().as_micros() as f64 / count as f64);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("tree: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(tree: &Path, count: u64) -> Result<(), PolicyError> {
    let policy = Policy::load(tree, Shared::new(1), Rc::new(NoHost), Mode::Run)?;
    block_on(policy.run_init())?;
    let body = body();
    let mut open: Vec<ConnMeta> = (0..CONNECTIONS).map(|_| connection()).collect();
    block_on(async {
        for n in 0..count {
            let conn = &mut open[n as usize % CONNECTIONS];
            if (n / CONNECTIONS as u64).is_multiple_of(PER_CONNECTION) {
                *conn = connection();
                policy.ehlo("client.example", conn, vec!["PIPELINING".into()]).await?;
            }
            one(&policy, conn, &body).await?;
        }
        Ok(())
    })
}

/// The events of one message.
async fn one(policy: &Policy, conn: &ConnMeta, body: &[u8]) -> Result<(), PolicyError> {
    let address = |text| EnvelopeAddress::parse(text).unwrap_or_else(|_| EnvelopeAddress::null());
    let (from, to) = (address("a@src.example"), address("u@dst.example"));
    policy.mail_from(&from, conn).await?;
    policy.rcpt_to(&to, conn).await?;
    let id = MessageId::new_v1(0, 0, [0; 6]);
    let message = Message::new(id, from, vec![to], conn.snapshot(), Rc::new(body.to_vec()));
    if policy.handles("smtp_server_message_received") {
        policy.message_received(&message, conn).await?;
    }
    Ok(())
}

/// What a listener knows of a client.
fn connection() -> ConnMeta {
    let conn = ConnMeta::new();
    for (name, value) in [
        ("reception_protocol", "ESMTP"),
        ("received_via", "127.0.0.1:2525"),
        ("received_from", "127.0.0.1:40000"),
        ("hostname", "mx.here.example"),
        ("ehlo_domain", "client.example"),
    ] {
        conn.set(name, value);
    }
    conn
}

/// A message with the header mail usually has.
fn body() -> Vec<u8> {
    let mut body = b"Received: from client.example (127.0.0.1)\r\n  by mx.here.example (ringmta)\r\n  \
        with ESMTP id 0123456789abcdef for <u@dst.example>;\r\n  Sun, 22 Nov 2026 15:02:49 +0000\r\n\
        From: a@src.example\r\nTo: u@dst.example\r\nSubject: hello there\r\nMessage-ID: <x@src.example>\r\n\
        Date: Sun, 22 Nov 2026 15:02:49 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\
        X-Mailer: none\r\nList-Unsubscribe: <https://src.example/u>\r\n\r\n"
        .to_vec();
    body.extend(
        b"A line of seventy bytes or so, as a text in a message would have it.\r\n".repeat(4),
    );
    body
}

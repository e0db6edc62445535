//! What a policy costs: each line is a handler of one event, called over and over as a shard calls it.
//!
//! `cargo run --profile dist -p ringmta-bench --bin handlers`

use anyhow::{anyhow, Context, Result};
use clap::Parser;
use futures::executor::block_on;
use ringmta_policy::{
    ConnMeta, EnvelopeAddress, Message, MessageId, Meta, Mode, NoHost, Policy, Shared,
};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Times the events of a policy: microseconds and allocations per call.
#[derive(Parser)]
struct Args {
    /// Time for each line, milliseconds.
    #[arg(long, default_value_t = 500)]
    millis: u64,
    /// Only lines whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// What is called.
enum Call {
    /// `smtp_server_rcpt_to`.
    Rcpt,
    /// `smtp_server_message_received` with a new message of 10 KB.
    Received,
    /// `get_queue_config` for a queue of this number, or for a new one each time.
    Queue(bool),
}

struct Line {
    name: &'static str,
    lua: String,
    call: Call,
}

fn lines(keys: &Keys) -> Vec<Line> {
    let received =
        |body: &str| format!("kumo.on('smtp_server_message_received', function(m) {body} end)");
    let signing = |maker: &str, key: &str| {
        format!(
            "local signer = kumo.dkim.{maker} {{ domain = 'a.test', selector = 's',
               headers = {{ 'From', 'To', 'Subject' }}, key = {{ key_data = [[{key}]] }} }}
             {}",
            received("m:dkim_sign(signer)")
        )
    };
    let queue = "kumo.on('get_queue_config', function(domain)
        return kumo.make_queue_config { max_age = '1 day', retry_interval = '5 minutes' } end)";
    let line = |name, lua, call| Line { name, lua, call };
    let mut lines = vec![
        line("no handler", String::new(), Call::Rcpt),
        line("an address, empty", "kumo.on('smtp_server_rcpt_to', function(a) end)".into(), Call::Rcpt),
        line("an address read", "kumo.on('smtp_server_rcpt_to', function(a) local d = a.domain end)".into(), Call::Rcpt),
        line("no handler of a message", String::new(), Call::Received),
        line("a message, empty", received(""), Call::Received),
        line("a header read", received("local s = m:get_first_named_header_value('Subject')"), Call::Received),
        line("a meta set", received("m:set_meta('tenant', 'x')"), Call::Received),
        line("DKIM Ed25519", signing("ed25519_signer", &keys.ed25519), Call::Received),
        line("a queue configured again", queue.into(), Call::Queue(false)),
        line("a new queue configured", queue.into(), Call::Queue(true)),
        line("a memoized queue, again", format!("local lookup = kumo.memoize(function(d) return d end, {{ name = 'bench', ttl = '1h', capacity = 100 }})
            {}", queue.replace("return", "lookup(domain) return")), Call::Queue(false)),
    ];
    if let Some(rsa) = &keys.rsa {
        lines.push(line("DKIM RSA-2048", signing("rsa_sha256_signer", rsa), Call::Received));
    }
    lines
}

/// Keys of this run alone.
struct Keys {
    rsa: Option<String>,
    ed25519: String,
}

impl Keys {
    fn make() -> Keys {
        let openssl = |args: &[&str]| {
            let made = Command::new("openssl").args(args).output().ok()?;
            made.status.success().then(|| String::from_utf8(made.stdout).ok())?
        };
        let rsa = openssl(&["genrsa", "2048"]);
        if rsa.is_none() {
            println!("skipped: there is no openssl to make an RSA key with");
        }
        // A seed; what is measured does not depend on which.
        let seed = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg\n-----END PRIVATE KEY-----\n";
        Keys { rsa, ed25519: seed.into() }
    }
}

fn message(body: &Rc<Vec<u8>>) -> Result<Message> {
    let address = |text| EnvelopeAddress::parse(text).map_err(|error| anyhow!("{error}"));
    let (from, to) = (address("a@src.test")?, address("u@dst.test")?);
    Ok(Message::new(MessageId::new_v1(0, 0, [0; 6]), from, vec![to], Meta::new(), body.clone()))
}

fn body() -> Rc<Vec<u8>> {
    let mut body = b"From: a@src.test\r\nTo: u@dst.test\r\nSubject: hello there\r\nMessage-ID: <x@src.test>\r\n\
        Date: Sun, 22 Nov 2026 15:02:49 +0000\r\n\r\n"
        .to_vec();
    while body.len() < 10 * 1024 {
        body.extend_from_slice(
            b"A line of seventy bytes or so, as a text in a message would have it.\r\n",
        );
    }
    Rc::new(body)
}

/// One call; what is made for it alone is made before the clock starts.
fn once(policy: &Policy, call: &Call, turn: u64, body: &Rc<Vec<u8>>) -> Result<(Duration, u64)> {
    let failed = |error| anyhow!("{error}");
    let conn = ConnMeta::new();
    let message = message(body)?;
    let to = EnvelopeAddress::parse("u@dst.test").map_err(|error| anyhow!("{error}"))?;
    let domain = match call {
        Call::Queue(true) => format!("d{turn}.test"),
        _ => "dst.test".to_string(),
    };
    let mut outcome = Ok(());
    let start = Instant::now();
    let allocations = allocation_counter::measure(|| {
        outcome = block_on(async {
            match call {
                Call::Rcpt => policy.rcpt_to(&to, &conn).await,
                Call::Received => policy.message_received(&message, &conn).await,
                Call::Queue(_) => policy.queue_config(&domain, None, None, None).await.map(drop),
            }
        });
    });
    let took = start.elapsed();
    outcome.map_err(failed)?;
    Ok((took, allocations.count_total))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let keys = Keys::make();
    let body = body();
    let dir = tempfile::tempdir()?;
    println!("10 KB message, one Lua VM, the system's allocator\n");
    println!(
        "{:<28} {:>10} {:>10} {:>8} {:>9}",
        "handler", "median us", "p99 us", "allocs", "calls"
    );
    for line in lines(&keys) {
        if args.only.as_ref().is_some_and(|only| !line.name.contains(only)) {
            continue;
        }
        let file = dir.path().join("init.lua");
        std::fs::write(&file, format!("local kumo = require 'kumo'\n{}\n", line.lua))?;
        let policy = Policy::load(&file, Shared::new(1), Rc::new(NoHost), Mode::Run)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| line.name.to_string())?;
        block_on(policy.run_init()).map_err(|error| anyhow!("{error}"))?;
        let end = Instant::now() + Duration::from_millis(args.millis);
        let mut took = Vec::new();
        let (mut turn, mut allocations) = (0, 0);
        while Instant::now() < end || took.len() < 100 {
            let (time, count) = once(&policy, &line.call, turn, &body)?;
            turn += 1;
            // The first calls fill caches.
            if turn > 50 {
                took.push(time);
                allocations += count;
            }
        }
        took.sort_unstable();
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        println!(
            "{:<28} {:>10.2} {:>10.2} {:>8.1} {:>9}",
            line.name,
            micros(took[took.len() / 2]),
            micros(took[took.len() * 99 / 100]),
            allocations as f64 / took.len() as f64,
            took.len()
        );
    }
    Ok(())
}

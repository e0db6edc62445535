//! Runs `contract/tests/*.lua`: small policies whose checks are tagged with the entries of the contract they show.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use ringmta_mail::ConnMeta;

use crate::test_peers::{nats_server, rabbitmq_server, redis_server, Peer};
use crate::testing::*;
use crate::vm::context::Mode;

const PRELUDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/contract/prelude.lua"));

/// Answers every HTTP request with what it was: method, target, headers, body.
fn http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || answer(&mut stream));
        }
    });
    at
}

fn answer(stream: &mut std::net::TcpStream) {
    let mut seen = Vec::new();
    let mut buf = [0; 4096];
    let head = loop {
        if let Some(n) = memchr::memmem::find(&seen, b"\r\n\r\n") {
            break n + 4;
        }
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buf[..n]),
            _ => return,
        }
    };
    let text = String::from_utf8_lossy(&seen[..head]).into_owned();
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let headers: std::collections::BTreeMap<String, String> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0usize);
    while seen.len() < head + length {
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buf[..n]),
            _ => return,
        }
    }
    let status = first[1].strip_prefix("/status/").unwrap_or("200 OK").replace('_', " ");
    let body = match first[1].starts_with("/v1/secret/data/") {
        true => serde_json::json!({"data": {"data": {"key": headers.get("x-vault-token")}}}),
        false => serde_json::json!({
            "method": first[0], "target": first[1], "headers": headers,
            "body": String::from_utf8_lossy(&seen[head..]),
        }),
    };
    let body = body.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nX-Kind: echo\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// Sends each text it gets back, three times.
fn websocket_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(mut ws) = tungstenite::accept(stream) else { continue };
            for text in ["one", "two", "three"] {
                let _ = ws.send(tungstenite::Message::text(text));
            }
            while ws.read().is_ok() {}
        }
    });
    at
}

/// Runs one file; the failures of its checks, and how many there were.
fn run(file: &Path) -> (Vec<String>, u64) {
    let peers = tempfile::tempdir().unwrap();
    let code = std::fs::read_to_string(file).unwrap();
    let redis = code.contains("REDIS").then(|| redis_server(peers.path())).flatten();
    let nats = code.contains("NATS").then(|| nats_server(peers.path())).flatten();
    let amqp = code.contains("AMQP").then(|| rabbitmq_server(peers.path())).flatten();
    let port = |p: &Option<Peer>| p.as_ref().map_or("nil".to_owned(), |p| p.port.to_string());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let globals = format!(
        "HTTP, WS, CLOSED, DIR = 'http://{}', 'ws://{}', '{free}', '{}' REDIS, NATS, AMQP = {}, {}, {} ",
        http_server(),
        websocket_server(),
        peers.path().display(),
        port(&redis),
        port(&nats),
        port(&amqp),
    );
    let prelude = PRELUDE.replace('\n', " ");
    let w = try_world(&format!("{globals} {prelude} {code}"), Mode::Run).unwrap();
    block_on(w.policy.run_init()).unwrap();
    let out = w.fire("contract.run", Object(ConnMeta::new())).unwrap();
    let bad = out[0].as_array().cloned().unwrap_or_default();
    let bad = bad.iter().map(|b| b.as_str().unwrap_or("?").to_owned()).collect();
    (bad, out[1].as_u64().unwrap())
}

#[test]
fn every_check_of_the_contract_holds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contract/tests");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    for file in &files {
        let (bad, all) = run(file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(all > 0, "{name} has no checks");
        failures.extend(bad.into_iter().map(|b| format!("{name}: {b}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

//! The HTTP glue on a real shard: what well-behaved, broken, slow and greedy clients get.

use crate::sandbox_support::{loopback, start, until, Client, Running};
use futures::FutureExt;
use ringmta_http::options::Options;
use ringmta_http::{header, server as http, Bytes, Request, Response, StatusCode};
use ringmta_io::{self as io, Listener};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

fn options() -> Options {
    Options::new(1000, 100)
}

/// A server that answers with what it was asked.
fn server(options: Options) -> (Running, SocketAddr) {
    start(move |stop, report| async move {
        let listener = Listener::bind(loopback()).unwrap();
        report.send(listener.local_addr().unwrap()).unwrap();
        let serve = http::listen(listener, options, |_| |request| answer(request).boxed_local());
        futures::future::select(Box::pin(serve), stop).await;
    })
}

async fn answer(request: Request) -> Response {
    match request.path.as_str() {
        "/echo" => Response::bytes("application/octet-stream", request.body),
        "/ask" => Response::text(
            StatusCode::OK,
            format!("{} {:?} {:?}", request.method, request.segments(), request.query.get("q")),
        ),
        "/slow" => {
            io::sleep(Duration::from_millis(50)).await;
            Response::text(StatusCode::OK, "slow")
        }
        "/chunks" => Response::stream(
            "text/plain",
            futures::stream::iter(["one ", "two ", "three"].map(|c| Ok(Bytes::from(c)))),
        ),
        "/broken" => Response::stream(
            "text/plain",
            futures::stream::iter([Ok(Bytes::from("some")), Err(std::io::Error::other("gone"))]),
        ),
        "/endless" => Response::stream(
            "text/plain",
            futures::stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 65536]))),
        ),
        "/upgrade" => Response::upgrade(|mut upgraded| async move {
            let mut got = upgraded.early.to_vec();
            while !got.ends_with(b"\n") {
                let mut more = [0; 16];
                let read = upgraded.conn.read(&mut more).await.unwrap();
                got.extend_from_slice(&more[..read]);
            }
            upgraded.conn.write_all(&got).await.unwrap();
        })
        .header(header::UPGRADE, "echo"),
        _ => Response::text(StatusCode::NOT_FOUND, "nothing here"),
    }
}

#[test]
fn keeps_a_connection_over_requests() {
    let (_running, at) = server(options());
    let mut client = Client::connect(at);
    let first = client.request("GET", "/a%20b/ask?q=1", "", b"");
    assert_eq!((first.status, first.text().as_str()), (404, "nothing here"));
    let second = client.request("GET", "/ask?x=%zz&q=a+b%26c", "", b"");
    assert_eq!(second.text(), r#"GET ["ask"] Some("a b&c")"#);
    let third = client.request("POST", "/echo", "", b"hello");
    assert_eq!(third.body, b"hello");
    let head = client.request("HEAD", "/ask", "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_ne!(head.header("content-length"), Some("0"));
    let chunks = client.request("GET", "/chunks", "", b"");
    assert_eq!(chunks.text(), "one two three");
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /ask HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.reply(false).text(), "slow");
    assert_eq!(client.reply(false).status, 200);
}

#[test]
fn refuses_what_is_too_large() {
    let (_running, at) = server(options());
    let mut client = Client::connect(at);
    let told = client.request("POST", "/echo", "", &[b'x'; 1001]);
    assert_eq!(told.status, 413);
    assert!(told.text().contains("1000 bytes"), "{}", told.text());
    assert_eq!(client.rest(), b"");

    let mut client = Client::connect(at);
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..200 {
        client.try_send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    }
    assert_eq!(client.reply(false).status, 413);

    let mut client = Client::connect(at);
    client.try_send("GET / HTTP/1.1\r\n");
    for _ in 0..100 {
        client.try_send(format!("X-Long: {}\r\n", "y".repeat(1000)));
    }
    assert_eq!(client.reply(false).status, 431);
    assert_eq!(Client::connect(at).request("POST", "/echo", "", &[b'x'; 1000]).status, 200);
}

#[test]
fn refuses_garbage() {
    let (_running, at) = server(options());
    for garbage in [
        "\0\u{1}\u{2}\r\n\r\n",
        "EHLO there\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ] {
        let mut client = Client::connect(at);
        client.send(garbage);
        assert_eq!(client.reply(false).status, 400, "{garbage:?}");
        assert_eq!(client.rest(), b"");
    }
    let mut client = Client::connect(at);
    client.send(
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
    );
    assert_eq!(client.reply(false).status, 400);
}

#[test]
fn a_slow_client_is_told_and_cut() {
    let quick = Duration::from_millis(100);
    let limits = Options { head: quick, body: quick, idle: quick, ..options() };
    let (_running, at) = server(limits);

    let mut head = Client::connect(at);
    head.send("GET / HT");
    let told = head.reply(false);
    assert_eq!(told.status, 408);
    assert!(told.text().contains("head"), "{}", told.text());
    assert_eq!(head.rest(), b"");

    let mut body = Client::connect(at);
    body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    let told = body.reply(false);
    assert_eq!(told.status, 408);
    assert!(told.text().contains("body"), "{}", told.text());
    assert_eq!(body.rest(), b"");

    let mut idle = Client::connect(at);
    assert_eq!(idle.request("GET", "/ask", "", b"").status, 200);
    assert_eq!(idle.rest(), b"");
    assert_eq!(Client::connect(at).rest(), b"");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let limits = Options { write: Duration::from_millis(100), ..options() };
    let (_running, at) = server(limits);
    let mut client = Client::connect(at);
    client.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    // Nothing is read until the server has given up on us; the write then fails.
    until("the server cuts the connection", || {
        let stream = client.stream.get_mut();
        std::io::Write::write_all(stream, b"\r\n").err()
    });
}

#[test]
fn a_half_closed_client_is_answered() {
    let (_running, at) = server(options());
    for path in ["/ask", "/slow"] {
        let mut client = Client::connect(at);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.stream.get_mut().shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.reply(false).status, 200);
        assert_eq!(client.rest(), b"");
    }
    let mut broken = Client::connect(at);
    broken.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    broken.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(broken.reply(false).status, 400);
}

#[test]
fn a_broken_stream_is_seen_as_broken() {
    let (_running, at) = server(options());
    let mut client = Client::connect(at);
    client.send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
    let all = client.rest();
    assert!(!all.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&all));
}

#[test]
fn an_upgrade_gets_what_was_sent_ahead() {
    let (_running, at) = server(options());
    let mut client = Client::connect(at);
    client.send(
        "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead ",
    );
    assert_eq!(client.reply(false).status, 101);
    client.send("and behind\n");
    assert_eq!(client.line(), "ahead and behind");
    assert_eq!(client.rest(), b"");
}

#[test]
fn connections_over_the_limit_are_told_and_come_back() {
    let (_running, at) = server(Options { connections: 2, ..options() });
    let mut first = Client::connect(at);
    let mut second = Client::connect(at);
    assert_eq!(first.request("GET", "/ask", "", b"").status, 200);
    assert_eq!(second.request("GET", "/ask", "", b"").status, 200);
    assert_eq!(Client::connect(at).reply(false).status, 503);
    drop(first);
    until("a place is free again", || {
        let mut third = Client::connect(at);
        third.try_send("GET /ask HTTP/1.1\r\nHost: x\r\n\r\n");
        (third.reply(false).status == 200).then_some(())
    });
}

#[test]
fn dropping_the_listener_ends_its_connections() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let gone = Arc::new(AtomicUsize::new(0));
    let count = gone.clone();
    let (running, at) = start(move |stop, report| async move {
        let listener = Listener::bind(loopback()).unwrap();
        report.send(listener.local_addr().unwrap()).unwrap();
        let serve = http::listen(listener, options(), |_| {
            let gone = Gone(count.clone());
            move |request| {
                let _ = &gone;
                answer(request).boxed_local()
            }
        });
        futures::future::select(Box::pin(serve), stop).await;
    });
    let mut client = Client::connect(at);
    assert_eq!(client.request("GET", "/ask", "", b"").status, 200);
    drop(running);
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    assert_eq!(client.rest(), b"");
}

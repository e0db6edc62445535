//! What messages load from elsewhere: fetched in their readers' stead, and kept out.

use crate::sandbox_support::{deliver, get, sandbox_of, Running};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_sandbox::{Bound, Settings};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// A server that gives each of these paths its kind and body, and notes what it is asked for.
fn elsewhere(
    pages: Vec<(&'static str, &'static str, Vec<u8>)>,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let noted = asked.clone();
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut first = String::new();
            let _ = stream.read_line(&mut first);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap_or("").to_string();
            noted.lock().unwrap().push(path.clone());
            let found = pages.iter().find(|(own, ..)| *own == path);
            let head = match found {
                Some((_, "redirect", to)) => {
                    let to = String::from_utf8_lossy(to);
                    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n")
                }
                Some((_, kind, body)) => format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
                    body.len()
                ),
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n".to_string(),
            };
            let body = found.filter(|(_, kind, _)| *kind != "redirect").map(|(_, _, body)| body);
            let answer = format!("{head}Connection: close\r\n\r\n").into_bytes();
            // Whoever has asked may have heard enough.
            let _ =
                stream.get_mut().write_all(&[answer, body.cloned().unwrap_or_default()].concat());
        }
    });
    (at, asked)
}

fn data(id: &str, url: &str) -> String {
    let code = STANDARD.encode(format!("{id}:{url}"));
    code.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// The server of these tests.
fn site() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    elsewhere(vec![
        ("/x.css", "text/css; charset=utf-8", b"@font-face{src:url('fonts/f.woff')}".to_vec()),
        ("/fonts/f.woff", "font/woff", b"glyphs".to_vec()),
        ("/i.png", "image/png", b"picture".to_vec()),
        ("/moved.png", "redirect", b"/i.png".to_vec()),
        ("/page.png", "text/html", b"<script>".to_vec()),
        ("/big.png", "image/png", vec![0; 9 << 20]),
        ("/other.png", "image/png", b"not of the message".to_vec()),
    ])
}

/// A message that loads what is there, and has a link to something else.
fn message(there: SocketAddr) -> String {
    let named = ["i.png", "moved.png", "page.png", "big.png", "absent.png"];
    let pictures: String =
        named.iter().map(|name| format!("<img src=http://{there}/{name}>")).collect();
    format!("Content-Type: text/html\r\n\r\n<link rel=stylesheet href=http://{there}/x.css>{pictures}\r\n<a href=http://{there}/other.png>x</a>\r\n")
}

fn sandbox(internal: bool, blocked: bool) -> (Running, Bound) {
    sandbox_of(move || Settings {
        internal_requests: internal,
        block_remote_css_and_fonts: blocked,
        webroot: "/in/".into(),
        ..Settings::default()
    })
}

#[test]
fn what_a_message_loads_is_fetched_in_its_readers_stead() {
    let (there, asked) = site();
    let (_running, at) = sandbox(true, false);
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &message(there));
    let fetch = |name: &str| {
        get(at.web, &format!("/in/proxy?data={}", data(&id, &format!("http://{there}/{name}"))))
    };
    let picture = fetch("i.png");
    assert_eq!((picture.status, picture.text().as_str()), (200, "picture"));
    assert_eq!(picture.header("content-type"), Some("image/png"));
    assert!(picture.header("content-security-policy").unwrap().starts_with("sandbox"));
    assert_eq!(fetch("moved.png").text(), "picture");
    let styles = fetch("x.css").text();
    let link = styles.split('\'').nth(1).unwrap().to_string();
    assert!(link.starts_with("/in/proxy?data="), "{styles}");
    assert_eq!(get(at.web, &link).text(), "glyphs");
    // A link of our making is of that URL alone.
    let code = link.rsplit("code=").next().unwrap();
    let forged = data(&id, &format!("http://{there}/other.png"));
    for (path, said) in [
        (format!("/in/proxy?data={forged}&code={code}"), "does not name"),
        (format!("/in/proxy?data={forged}"), "does not name"),
        (format!("/in/proxy?data={}", data(&id, "file:///etc/passwd")), "invalid request"),
        (format!("/in/proxy?data={}", data("none", "http://x.test/")), "invalid request"),
        ("/in/proxy".to_string(), "Data missing"),
    ] {
        let reply = get(at.web, &path);
        assert_eq!((reply.status, reply.text().contains(said)), (400, true), "{}", reply.text());
    }
    for (name, said) in
        [("page.png", "no picture"), ("big.png", "too large"), ("absent.png", "404")]
    {
        let reply = fetch(name);
        assert_eq!((reply.status, reply.text().contains(said)), (400, true), "{}", reply.text());
    }
    assert!(!asked.lock().unwrap().contains(&"/other.png".to_string()));
}

#[test]
fn nothing_private_and_no_styles_are_fetched_unless_allowed() {
    let (there, asked) = site();
    let html = message(there);
    // Nothing private unless told.
    let (_running, at) = sandbox(false, false);
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &html);
    let path = format!("/in/proxy?data={}", data(&id, &format!("http://{there}/i.png")));
    let reply = get(at.web, &path);
    assert_eq!((reply.status, reply.text().contains("private")), (400, true), "{}", reply.text());
    assert!(asked.lock().unwrap().is_empty());
    // Where styles of elsewhere are to stay out, they do so by this way too.
    let (_running, at) = sandbox(true, true);
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &html);
    let path =
        |name: &str| format!("/in/proxy?data={}", data(&id, &format!("http://{there}/{name}")));
    let styles = get(at.web, &path("x.css"));
    assert_eq!((styles.status, styles.text().contains("blocked")), (400, true));
    assert_eq!(get(at.web, &path("i.png")).text(), "picture");
}

#[test]
fn styles_of_elsewhere_stay_out_of_messages_in_messages_too() {
    let inner = "Content-Type: text/html\r\n\r\n<p>in</p>\r\n";
    let source = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>out</p>\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\n{inner}--b--\r\n"
    );
    for blocked in [false, true] {
        let (_running, at) = sandbox_of(move || Settings {
            block_remote_css_and_fonts: blocked,
            ..Settings::default()
        });
        let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &source);
        for path in [format!("/view/{id}.html"), format!("/view/{id}/in/2/html")] {
            let reply = get(at.web, &format!("{path}?remote=1"));
            assert_eq!(reply.status, 200, "{path}");
            let policy = reply.header("content-security-policy").unwrap();
            let of =
                |name: &str| policy.split(';').find(|one| one.trim().starts_with(name)).unwrap();
            for name in ["style-src", "font-src"] {
                assert_eq!(of(name).contains("http"), !blocked, "{path}: {policy}");
            }
            assert!(of("img-src").contains("https:"), "{policy}");
        }
    }
}

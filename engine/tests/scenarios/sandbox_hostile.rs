//! Mail that means harm to the inbox itself: each message is taken, shown in every way there is within a bound of memory, and
//! others are served meanwhile.

use crate::sandbox_support::process::{inbox, Inbox};
use crate::sandbox_support::{deliver, get};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What takes longer must let others be answered meanwhile.
const LONG: Duration = Duration::from_secs(4);
/// Memory of the process: what it keeps (256 MB), and what a message of the largest size is worked on with.
const MEMORY_MB: u64 = 900;

/// Asks all the time, and counts what is answered.
struct Other {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Other {
    fn of(web: SocketAddr) -> Other {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, count) = (stop.clone(), answered.clone());
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                assert_eq!(get(web, "/api/v1/search?query=harmless").json()["messages_count"], 1);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Other { stop, answered, thread }
    }

    /// Does `work`, which must not hold up the others when it takes long; how long it may take is bounded by `PATIENCE` alone,
    /// for that is a matter of the machine.
    fn goes_on<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let (start, before) = (Instant::now(), self.answered.load(Ordering::Relaxed));
        let done = work();
        let (took, answered) =
            (start.elapsed(), self.answered.load(Ordering::Relaxed).wrapping_sub(before));
        // Were a shard held, one might be answered before it is and one behind it.
        assert!(took < LONG || answered > 3, "{what} took {took:?}, and {answered} were answered");
        done
    }

    fn ends(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn peak_mb(at: &Inbox) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", at.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn zeros(count: usize, mut into: impl Write) {
    let block = vec![0; 1 << 20];
    (0..count >> 20).for_each(|_| into.write_all(&block).unwrap());
    into.write_all(&block[..count & ((1 << 20) - 1)]).unwrap();
}

fn deflated(count: usize) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
    zeros(count, &mut out);
    out.finish().unwrap()
}

fn png(side: u32, chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut head = [side.to_be_bytes(), side.to_be_bytes()].concat();
    head.extend([8, 6, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let all = [&[(b"IHDR", head)], chunks, &[(b"IEND", Vec::new())]].concat();
    for (name, data) in all {
        let mut crc = Crc::new();
        crc.update(&[&name[..], &data].concat());
        out.extend((data.len() as u32).to_be_bytes());
        out.extend(&name[..]);
        out.extend(data);
        out.extend(crc.sum().to_be_bytes());
    }
    out
}

fn attachment(kind: &str, bytes: &[u8]) -> String {
    let code = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        (0..code.len()).step_by(76).map(|at| &code[at..code.len().min(at + 76)]).collect();
    format!(
        "Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        lines.join("\r\n")
    )
}

fn mixed(parts: &[String]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\r\n{part}")).collect();
    format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n")
}

/// Everything that can be asked about a message.
fn look(at: &Inbox, other: &Other, id: &str) {
    let one = format!("/api/v1/message/{id}");
    for path in [
        one.clone(),
        format!("{one}/headers"),
        format!("{one}/raw"),
        format!("{one}/html-check"),
        format!("{one}/link-check"),
        format!("{one}/part/2"),
        format!("{one}/part/2/thumb"),
        format!("/view/{id}.html"),
        format!("/view/{id}.html?frame=1&remote=1"),
        format!("/view/{id}.txt"),
        format!("/view/{id}/part/2"),
        format!("/view/{id}/in/2/message"),
        "/api/v1/messages".to_string(),
        "/api/v1/search?query=absent".to_string(),
    ] {
        let status = other.goes_on(&path, || get(at.web, &path).status);
        assert!(matches!(status, 200 | 400 | 404), "{path}: {status}");
    }
}

fn nested_in_base64(levels: usize) -> String {
    let words = format!("Content-Type: text/html\r\n\r\n{}\r\n", "<p>words</p>".repeat(10_000));
    (0..levels).fold(words, |inner, _| {
        mixed(&["\r\nx\r\n".to_string(), attachment("message/rfc822", inner.as_bytes())])
    })
}

/// Their names, and what follows the subject.
fn bombs(packed: &[u8]) -> Vec<(&'static str, String)> {
    let deep: String = (0..3000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect();
    // As large as its sides may be: 576 MB, were it read.
    let large = png(12_000, &[(b"IDAT", deflated(12_000 * 48_001))]);
    let named = |mut text: Vec<u8>| {
        text.extend(deflated(1 << 30));
        text
    };
    let texts = [
        (b"iCCP", named(b"x\0\0".to_vec())),
        (b"zTXt", named(b"x\0\0".to_vec())),
        (b"IDAT", deflated(4 * 5 * 4)),
    ];
    let texts = png(4, &texts);
    let mut gif = b"GIF89a\xe0\x2e\xe0\x2e\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    gif.extend(b",\0\0\0\0\xe0\x2e\xe0\x2e\0\x02\x02\x44\x01\0;");
    let words = || "Content-Type: text/html\r\n\r\n<p>x</p>\r\n".to_string();
    let quoted = |line: &str, count: usize| {
        format!(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
            line.repeat(count)
        )
    };
    vec![
        ("deep", format!("{deep}x\r\n")),
        ("within itself", nested_in_base64(14)),
        ("soft line breaks", quoted("=\r\n", 8_000_000)),
        ("escapes", quoted("=3C=61=20=68=72=65=66=3D=78=3E=\r\n", 700_000)),
        ("gzip", mixed(&[words(), attachment("application/gzip", packed)])),
        ("large picture", mixed(&[words(), attachment("image/png", &large)])),
        ("texts of a picture", mixed(&[words(), attachment("image/png", &texts)])),
        ("animation", mixed(&[words(), attachment("image/gif", &gif)])),
    ]
}

#[test]
fn mail_that_grows_when_it_is_opened() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    zeros(1 << 30, &mut packed);
    let packed = packed.finish().unwrap();
    let messages = bombs(&packed);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("inbox.db").display().to_string();
    for store in [&[][..], &["--database", &file]] {
        let at = inbox(&[&["--enable-link-check"], store].concat());
        deliver(at.smtp, "a@b.test", &["c@d.test"], "Subject: harmless\r\n\r\nx");
        let other = Other::of(at.web);
        for (name, message) in &messages {
            let source = format!("Subject: {name}\r\n{message}");
            let id = other.goes_on(name, || deliver(at.smtp, "a@b.test", &["c@d.test"], &source));
            look(&at, &other, &id);
            if *name == "gzip" {
                // Handed out as it is: nobody here opens it.
                for path in [format!("/view/{id}/part/2"), format!("/api/v1/message/{id}/part/2")] {
                    assert_eq!(get(at.web, &path).body, packed);
                }
            }
            if message.contains("image/") {
                let small = get(at.web, &format!("/api/v1/message/{id}/part/2/thumb"));
                assert_eq!((small.status, small.header("content-type")), (200, Some("image/jpeg")));
            }
        }
        other.ends();
        let peak = peak_mb(&at);
        println!("opened: {peak} MB at most");
        assert!(peak < MEMORY_MB, "{peak} MB");
    }
}

/// Requests and messages of others that are answered before anything comes by this connection.
fn answered_before(stream: &TcpStream, at: &Inbox) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut answered = 0;
    while stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
        deliver(at.smtp, "a@b.test", &["c@d.test"], "Subject: meanwhile\r\n\r\nx");
        assert_eq!(get(at.web, "/api/v1/messages?limit=1").status, 200);
        answered += 1;
    }
    stream.set_nonblocking(false).unwrap();
    answered
}

fn hear(stream: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

/// A connection over which everything of a message has gone but the end of its last line.
fn all_but_the_end(at: &Inbox, source: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at.smtp).unwrap();
    hear(&stream);
    for line in ["HELO x", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"] {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        hear(&stream);
    }
    stream.write_all(format!("{source}.").as_bytes()).unwrap();
    stream
}

#[test]
fn a_look_into_long_mail_holds_up_nobody() {
    let row = "<tr><td>cell</td><td>http://192.0.2.1/ and 123456</td></tr>\r\n";
    let rows = row.repeat((24 << 20) / row.len());
    let inner = format!("Content-Type: text/html\r\n\r\n{rows}");
    let source = mixed(&[inner.clone(), format!("Content-Type: message/rfc822\r\n\r\n{inner}")]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("inbox.db").display().to_string();
    for store in [&[][..], &["--database", &file]] {
        // However many come meanwhile, the long one stays.
        let at = inbox(&[&["--max", "0"], store].concat());
        let mut stream = all_but_the_end(&at, &format!("Subject: long\r\n{source}"));
        stream.write_all(b"\r\n").unwrap();
        // Were the shard held, one might be answered before it is and one behind it.
        let meanwhile = answered_before(&stream, &at);
        let answer = hear(&stream);
        assert!(answer.starts_with("250 "), "{answer}");
        assert!(meanwhile > 3, "{meanwhile} answered before a message was taken");
        let id = answer.trim().rsplit(' ').next().unwrap();
        for path in [
            format!("/api/v1/message/{id}"),
            format!("/view/{id}.html?frame=1"),
            format!("/view/{id}/in/2/message"),
        ] {
            let mut stream = TcpStream::connect(at.web).unwrap();
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
            let meanwhile = answered_before(&stream, &at);
            let answer = hear(&stream);
            assert!(answer.contains(" 200 "), "{path}: {answer}");
            assert!(meanwhile > 3, "{path}: {meanwhile} answered before it");
        }
    }
}

#[test]
fn mail_as_large_as_it_may_be() {
    let part = "--b\r\nContent-Type: image/png\r\nContent-ID: <c>\r\n\r\nx\r\n";
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(100_000)
    );
    let calls = "<link rel=stylesheet href=http://192.0.2.1/s.css><style>@import url(http://192.0.2.1/i.css); \
        @font-face{font-family:f;src:url(http://192.0.2.1/f.woff)}</style><table>\r\n";
    let row =
        "<tr><td>cell</td><td style='color:#333'>another cell of a very long table</td></tr>\r\n";
    let rows = row.repeat((49 << 20) / row.len());
    let html = format!("Content-Type: text/html\r\n\r\n{calls}{rows}</table>\r\n");
    let line = format!("Content-Type: text/plain\r\n\r\n{}\r\n", "word ".repeat(200_000));
    let at = inbox(&["--enable-link-check"]);
    deliver(at.smtp, "a@b.test", &["c@d.test"], "Subject: harmless\r\n\r\nx");
    let other = Other::of(at.web);
    for (name, message) in [("parts", parts), ("html", html), ("one line", line)] {
        let source = format!("Subject: {name}\r\n{message}");
        let id = other.goes_on(name, || deliver(at.smtp, "a@b.test", &["c@d.test"], &source));
        look(&at, &other, &id);
        if name == "html" {
            // What calls home is there and may not: only the frame's policy lets anything out, when it is asked to.
            let view = get(at.web, &format!("/view/{id}.html"));
            let policy = view.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
            assert!(view.text().contains("<link rel=alternate rel=stylesheet"));
        }
    }
    other.ends();
    let peak = peak_mb(&at);
    println!("large: {peak} MB at most");
    assert!(peak < MEMORY_MB, "{peak} MB");
    // All of it gives way to what comes, and the memory is given back to the bound.
    let total = get(at.web, "/api/v1/messages").json()["total"].as_u64().unwrap();
    assert_eq!(total, 4);
}

//! A real shard in a thread, and a plain client to talk to it.
#![allow(dead_code)]

pub mod process;

use futures::channel::oneshot;
use ringmta_io::ring::run_shard;
use ringmta_sandbox::passwords::Passwords;
use ringmta_sandbox::settings::{Keeping, Pop3};
use ringmta_sandbox::{self as sandbox, Bound, SandboxConfig, Settings};
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes: a test that reaches it has hung.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Something that runs on a shard until dropped.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        // A test that has failed does not wait for what may be why.
        if !std::thread::panicking() {
            self.thread.take().unwrap().join().unwrap().unwrap();
        }
    }
}

/// Runs `work(stop, report)` on a shard; gives back what it reports first.
pub fn start<T, M, F>(work: M) -> (Running, T)
where
    T: Send + 'static,
    M: FnOnce(oneshot::Receiver<()>, mpsc::Sender<T>) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let (stop, stopped) = oneshot::channel();
    let (report, reported) = mpsc::channel();
    let thread = run_shard("test", None, move || work(stopped, report)).unwrap();
    let running = Running { stop: Some(stop), thread: Some(thread) };
    (running, reported.recv_timeout(PATIENCE).unwrap())
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A sandbox on free ports that keeps so many messages.
pub fn sandbox(max_messages: usize) -> (Running, Bound) {
    sandbox_of(move || {
        let keeping = Keeping { max_messages, ..Keeping::default() };
        Settings { keeping, ..Settings::default() }
    })
}

/// A sandbox on free ports, as it is told.
pub fn sandbox_of(settings: impl FnOnce() -> Settings + Send + 'static) -> (Running, Bound) {
    start(move |stop, report| async move {
        let config = SandboxConfig {
            smtp: loopback().into(),
            web: loopback().into(),
            settings: settings(),
            receiver: Some((loopback(), "the key".into())),
        };
        let stop = async {
            let _ = stop.await;
        };
        sandbox::run(config, |bound| report.send(*bound).unwrap(), stop).await.unwrap();
    })
}

/// The inbox as a mailbox on a free port, for the logins of a file that says `logins`.
pub fn pop3_for(logins: &str) -> Option<Pop3> {
    Some(Pop3 { address: loopback(), logins: Passwords::parse(logins).unwrap(), tls: None })
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }
}

/// A connection.
pub struct Client {
    pub stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        Client::over(TcpStream::connect(to).unwrap())
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what may be refused half-way.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// What comes until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}");
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.send([head.as_bytes(), body].concat());
        self.reply(method == "HEAD")
    }

    pub fn reply(&mut self, headless: bool) -> Reply {
        let status = self.line();
        let status = status.split(' ').nth(1).unwrap_or_else(|| panic!("`{status}`"));
        let mut reply =
            Reply { status: status.parse().unwrap(), headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            reply.headers.push((name.to_lowercase(), value.trim().to_string()));
        }
        if headless || reply.status == 101 {
            return reply;
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line(), 16).unwrap();
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk).unwrap();
                self.line();
                if size == 0 {
                    return reply;
                }
                reply.body.extend(chunk);
            }
        }
        let length = reply.header("content-length").map_or(0, |n| n.parse().unwrap());
        reply.body = vec![0; length];
        self.stream.read_exact(&mut reply.body).unwrap();
        reply
    }
}

pub fn request(to: SocketAddr, method: &str, path: &str, body: &str) -> Reply {
    Client::connect(to).request(method, path, "", body.as_bytes())
}

pub fn get(to: SocketAddr, path: &str) -> Reply {
    request(to, "GET", path, "")
}

/// The subjects of the messages, newest first.
pub fn subjects(web: SocketAddr) -> Vec<String> {
    let list = get(web, "/api/v1/messages").json();
    let messages = list["messages"].as_array().unwrap().iter();
    messages.map(|one| one["Subject"].as_str().unwrap().to_string()).collect()
}

/// Waits until `look` gives something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Delivers one message over SMTP; gives back its id.
pub fn deliver(to: SocketAddr, sender: &str, recipients: &[&str], source: &str) -> String {
    hand_in(Client::connect(to), sender, recipients, source)
}

/// The same over a connection that is there.
pub fn hand_in(mut smtp: Client, sender: &str, recipients: &[&str], source: &str) -> String {
    assert!(smtp.line().starts_with("220 "));
    smtp.send("EHLO client.example\r\n");
    while smtp.line().as_bytes()[3] == b'-' {}
    smtp.send(format!("MAIL FROM:<{sender}>\r\n"));
    assert!(smtp.line().starts_with("250 "));
    for to in recipients {
        smtp.send(format!("RCPT TO:<{to}>\r\n"));
        assert!(smtp.line().starts_with("250 "));
    }
    smtp.send("DATA\r\n");
    assert!(smtp.line().starts_with("354 "));
    let end = if source.is_empty() || source.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" };
    smtp.send(format!("{source}{end}"));
    let stored = smtp.line();
    assert!(stored.starts_with("250 "), "{stored}");
    smtp.send("QUIT\r\n");
    assert!(smtp.line().starts_with("221 "));
    stored.rsplit(' ').next().unwrap().to_string()
}

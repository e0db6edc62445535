//! A NATS client that publishes, for helper threads. The protocol is lines of text.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::limits::{MAX_NATS_LINE_BYTES, NATS_CONNECT_TIMEOUT, NATS_REQUEST_TIMEOUT};
use crate::options::*;
use crate::plain::Plain;

option_table! {
    /// How NATS is reached.
    pub struct NatsParams for "kumo.nats.connect" {
        /// Addresses of the servers, `host:port`; tried in order.
        servers: Vec<String> = Vec::new(); Support::Required,
        /// Name of the client.
        name: Option<String> = None,
        /// `{ username, password }` or `{ token }`, each a key source.
        auth: Plain = Plain::Nil,
        /// Do not get back what this connection publishes.
        no_echo: bool = false,
        /// Attempts to connect again per publication; 0 = one round over the servers.
        max_reconnects: u64 = 0,
        /// How long a connection may take to be made (duration).
        connection_timeout: Duration = NATS_CONNECT_TIMEOUT,
        /// Only connect with TLS.
        tls_required: bool = false; Support::Refused,
        /// Begin with TLS.
        tls_first: bool = false; Support::Refused,
        /// File with root certificates.
        certificate: Option<String> = None; Support::Refused,
        /// File with the client's certificate.
        client_cert: Option<String> = None; Support::Refused,
        /// File with the client's key.
        client_key: Option<String> = None; Support::Refused,
        /// How often the server is asked whether it is there (duration).
        ping_interval: Duration = Duration::from_secs(60); Support::NoEffect("each publication shows whether the server is there"),
        /// Publications that may wait.
        sender_capacity: usize = 128; Support::NoEffect("a publication waits in its handler"),
        /// Beginning of the names replies are sent to.
        inbox_prefix: String = "_INBOX".into(),
        /// How long an acknowledgement is waited for (duration).
        request_timeout: Duration = NATS_REQUEST_TIMEOUT,
        /// Connect when something is published, not at once.
        retry_on_initial_connect: bool = false,
        /// Do not learn of other servers.
        ignore_discovered_servers: bool = false; Support::NoEffect("only the servers named are used"),
        /// Try the servers in the order given.
        retain_servers_order: bool = false; Support::NoEffect("servers are tried in the order given"),
    }
}

/// Credentials, once their sources were read.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// Or a token.
    pub token: Option<String>,
}

struct Conn {
    read: BufReader<TcpStream>,
    write: TcpStream,
    inbox: String,
    next: u64,
}

/// One client: a connection that is made again when it breaks.
pub struct Client {
    params: NatsParams,
    credentials: Credentials,
    inbox: String,
    conn: Mutex<Option<Conn>>,
}

/// One message to publish.
pub struct Publication {
    /// Subject.
    pub subject: String,
    /// Content.
    pub payload: Vec<u8>,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// Wait until JetStream has it.
    pub await_ack: bool,
}

/// A failure before or after the message may have been taken.
enum Trouble {
    /// The connection broke before anything was sent: another may do.
    Broken(String),
    /// Final.
    Said(String),
}

fn word(what: &str, text: &str) -> Result<(), String> {
    match text.is_empty() || text.bytes().any(|c| c <= b' ' || c == 127) {
        true => Err(format!("`{text}` cannot be a {what}")),
        false => Ok(()),
    }
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(
        params: NatsParams,
        credentials: Credentials,
        unique: &str,
    ) -> Result<Client, String> {
        if params.servers.is_empty() {
            return Err("`servers` is empty".into());
        }
        word("prefix of replies", &params.inbox_prefix)?;
        let inbox = format!("{}.{unique}", params.inbox_prefix);
        Ok(Client { params, credentials, inbox, conn: Mutex::default() })
    }

    /// Connects now. Blocks: for helper threads.
    ///
    /// # Errors
    /// Why no server can be reached.
    pub fn connect(&self) -> Result<(), String> {
        let made = self.open()?;
        *self.conn.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(())
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn open(&self) -> Result<Conn, String> {
        let mut last = String::new();
        for server in &self.params.servers {
            match self.open_one(server) {
                Ok(conn) => return Ok(conn),
                Err(e) => last = format!("{server}: {e}"),
            }
        }
        Err(last)
    }

    fn open_one(&self, server: &str) -> Result<Conn, String> {
        let bare = server.strip_prefix("nats://").unwrap_or(server).trim_end_matches('/');
        let whole = if bare.contains(':') { bare.to_owned() } else { format!("{bare}:4222") };
        let limit = self.params.connection_timeout;
        let addresses = whole.to_socket_addrs().map_err(|e| e.to_string())?;
        let mut last = "the name has no address".to_owned();
        let mut tcp = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(s) => {
                    tcp = Some(s);
                    break;
                }
                Err(e) => last = e.to_string(),
            }
        }
        let tcp = tcp.ok_or(last)?;
        let io = |e: std::io::Error| e.to_string();
        tcp.set_read_timeout(Some(limit)).map_err(io)?;
        tcp.set_write_timeout(Some(limit)).map_err(io)?;
        tcp.set_nodelay(true).map_err(io)?;
        let write = tcp.try_clone().map_err(io)?;
        let mut conn =
            Conn { read: BufReader::new(tcp), write, inbox: self.inbox.clone(), next: 0 };
        let until = Instant::now() + limit;
        let hello = conn.line(until)?;
        let info = hello.strip_prefix("INFO ").ok_or("the server is not a NATS server")?;
        let info: Value = serde_json::from_str(info).map_err(|e| e.to_string())?;
        if info["tls_required"] == true {
            return Err("the server wants TLS, which this client does not have".into());
        }
        let mut about = json!({
            "verbose": false, "pedantic": false, "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
            "protocol": 1, "headers": true, "no_responders": true, "echo": !self.params.no_echo,
        });
        let c = &self.credentials;
        for (key, value) in [
            ("name", &self.params.name),
            ("user", &c.user),
            ("pass", &c.password),
            ("auth_token", &c.token),
        ] {
            if let Some(value) = value {
                about[key] = value.as_str().into();
            }
        }
        let first = format!("CONNECT {about}\r\nSUB {}.* 1\r\nPING\r\n", conn.inbox);
        conn.write.write_all(first.as_bytes()).map_err(io)?;
        conn.pong(until)?;
        Ok(conn)
    }

    /// Publishes. Blocks: for helper threads.
    ///
    /// # Errors
    /// What the server or the network said. Without `await_ack` a message may be lost with its connection.
    pub fn publish(&self, p: &Publication) -> Result<(), String> {
        word("subject", &p.subject)?;
        for (name, value) in &p.headers {
            word("header name", name)?;
            if name.contains(':') || value.contains(['\r', '\n']) {
                return Err(format!("header `{name}` cannot be sent"));
            }
        }
        let mut slot = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.params.max_reconnects.max(1);
        loop {
            let fresh = slot.is_none();
            let mut conn = match slot.take() {
                Some(conn) => conn,
                None => match self.open() {
                    Ok(conn) => conn,
                    Err(e) => {
                        left -= 1;
                        if left == 0 {
                            return Err(e);
                        }
                        continue;
                    }
                },
            };
            match conn.publish(p, self.params.request_timeout) {
                Ok(()) => {
                    *slot = Some(conn);
                    return Ok(());
                }
                Err(Trouble::Said(e)) => {
                    *slot = Some(conn);
                    return Err(e);
                }
                // A kept connection may have been closed long ago: a new one gets a chance.
                Err(Trouble::Broken(_)) if !fresh => {}
                Err(Trouble::Broken(e)) => return Err(e),
            }
        }
    }
}

impl Conn {
    /// One line without its end.
    fn line(&mut self, until: Instant) -> Result<String, String> {
        let mut out = Vec::new();
        loop {
            if Instant::now() > until {
                return Err("no answer in time".into());
            }
            let got = match self.read.fill_buf() {
                Ok([]) => return Err("the server closed the connection".into()),
                Ok(got) => got,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e.to_string()),
            };
            let end = memchr::memchr(b'\n', got);
            let n = end.map_or(got.len(), |n| n + 1);
            out.extend_from_slice(&got[..n]);
            self.read.consume(n);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&out).trim_end().to_owned());
            }
            if out.len() > MAX_NATS_LINE_BYTES {
                return Err("the server sent too long a line".into());
            }
        }
    }

    /// Waits for the answer to a PING; what comes before it is looked at.
    fn pong(&mut self, until: Instant) -> Result<(), String> {
        loop {
            let line = self.line(until)?;
            match line.split(' ').next().unwrap_or("") {
                "PONG" => return Ok(()),
                "PING" => self.write.write_all(b"PONG\r\n").map_err(|e| e.to_string())?,
                "-ERR" => {
                    return Err(line.trim_start_matches("-ERR ").trim_matches('\'').to_owned())
                }
                "MSG" | "HMSG" => drop(self.body(&line)?),
                _ => {}
            }
        }
    }

    /// The subject and content of a message line; with headers, those are in front.
    fn body(&mut self, line: &str) -> Result<(String, Vec<u8>), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let subject = (*words.get(1).unwrap_or(&"")).to_owned();
        let size = words.last().and_then(|n| n.parse::<usize>().ok());
        let size = size
            .filter(|n| *n <= 64 * MAX_NATS_LINE_BYTES)
            .ok_or("the server sent a bad message")?;
        let mut bytes = vec![0; size + 2];
        self.read.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        bytes.truncate(size);
        Ok((subject, bytes))
    }

    fn publish(&mut self, p: &Publication, limit: Duration) -> Result<(), Trouble> {
        self.next += 1;
        let reply = match p.await_ack {
            true => format!("{}.{} ", self.inbox, self.next),
            false => String::new(),
        };
        let mut out = Vec::with_capacity(p.payload.len() + 256);
        if p.headers.is_empty() {
            out.extend_from_slice(
                format!("PUB {} {reply}{}\r\n", p.subject, p.payload.len()).as_bytes(),
            );
        } else {
            let lines: String = p.headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let head = format!("NATS/1.0\r\n{lines}\r\n");
            let all = head.len() + p.payload.len();
            out.extend_from_slice(
                format!("HPUB {} {reply}{} {all}\r\n{head}", p.subject, head.len()).as_bytes(),
            );
        }
        out.extend_from_slice(&p.payload);
        out.extend_from_slice(b"\r\nPING\r\n");
        self.write.write_all(&out).map_err(|e| Trouble::Broken(e.to_string()))?;
        let until = Instant::now() + limit;
        if !p.await_ack {
            // The answer to the PING shows that the server has read the message.
            return self.pong(until).map_err(Trouble::Broken);
        }
        loop {
            let line = self.line(until).map_err(Trouble::Broken)?;
            match line.split(' ').next().unwrap_or("") {
                "PING" => {
                    self.write.write_all(b"PONG\r\n").map_err(|e| Trouble::Broken(e.to_string()))?
                }
                "-ERR" => return Err(Trouble::Said(line)),
                "MSG" | "HMSG" => {
                    let (subject, body) = self.body(&line).map_err(Trouble::Broken)?;
                    if format!("{subject} ") == reply {
                        return acknowledged(&body).map_err(Trouble::Said);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Reads JetStream's answer.
fn acknowledged(body: &[u8]) -> Result<(), String> {
    if body.starts_with(b"NATS/1.0 503") {
        return Err("no stream takes this subject".into());
    }
    let v: Value =
        serde_json::from_slice(body).map_err(|_| "the acknowledgement is not JSON".to_owned())?;
    match v["error"]["description"].as_str() {
        Some(why) => Err(why.to_owned()),
        None if v["stream"].is_string() => Ok(()),
        None => Err("the server did not acknowledge the message".into()),
    }
}

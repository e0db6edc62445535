//! A NATS client that publishes, for helper threads. The protocol is lines of text.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringmta_options::plain::Plain;
use ringmta_options::*;
use serde_json::{json, Value};

use crate::limits::{MAX_NATS_LINE_BYTES, NATS_CONNECT_TIMEOUT, NATS_REQUEST_TIMEOUT};
use crate::net::wire::{TlsFiles, Wire};

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
        /// Only connect with TLS. A server that wants it gets it anyway, and a server named `tls://` too.
        tls_required: bool = false,
        /// Begin with TLS, before the server says anything.
        tls_first: bool = false,
        /// PEM file with the authorities that are believed; the public ones when none is named.
        certificate: Option<String> = None,
        /// PEM file with the client's certificate.
        client_cert: Option<String> = None,
        /// PEM file with its key.
        client_key: Option<String> = None,
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

/// Where a server listens that is named without a port.
const DEFAULT_PORT: u16 = 4222;

/// Credentials, once their sources were read.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretText>,
    /// Or a token.
    pub token: Option<SecretText>,
}

struct Conn {
    stream: BufReader<Wire>,
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

/// A failure, by what can be done about it.
enum Trouble {
    /// The connection broke: a fresh one may do.
    Broken(String),
    /// The time is over: final, and the connection is of no more use.
    Late(String),
    /// The server said no: final, and the connection is good.
    Said(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Trouble::Broken(e) | Trouble::Late(e) | Trouble::Said(e) => e,
        }
    }
}

fn io(e: std::io::Error) -> Trouble {
    match e.kind() {
        std::io::ErrorKind::TimedOut => Trouble::Late(e.to_string()),
        _ => Trouble::Broken(e.to_string()),
    }
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
        let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
        if !matches!(scheme, "nats" | "tls") {
            return Err(format!("`{scheme}` is neither nats nor tls"));
        }
        let bare = rest.trim_end_matches('/');
        let (host, port) = match bare.rsplit_once(':').filter(|(h, _)| !h.ends_with(':')) {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("`{port}` is no port"))?),
            None => (bare, DEFAULT_PORT),
        };
        let p = &self.params;
        let files = TlsFiles {
            authority: p.certificate.clone(),
            cert: p.client_cert.clone(),
            key: p.client_key.clone(),
        };
        let mut wire = Wire::connect(host, port, Instant::now() + p.connection_timeout)?;
        if p.tls_first {
            wire = wire.secure(host, &files)?;
        }
        let mut conn = Conn { stream: BufReader::new(wire), inbox: self.inbox.clone(), next: 0 };
        let hello = conn.line().map_err(Trouble::text)?;
        let info = hello.strip_prefix("INFO ").ok_or("the server is not a NATS server")?;
        let info: Value = serde_json::from_str(info).map_err(|e| e.to_string())?;
        let wanted = p.tls_required || scheme == "tls" || info["tls_required"] == true;
        if wanted && !p.tls_first {
            conn = conn.secure(host, &files, &info)?;
        }
        self.log_in(&mut conn).map_err(Trouble::text)?;
        Ok(conn)
    }

    fn log_in(&self, conn: &mut Conn) -> Result<(), Trouble> {
        let mut about = json!({
            "verbose": false, "pedantic": false, "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
            "protocol": 1, "headers": true, "no_responders": true, "echo": !self.params.no_echo,
        });
        let c = &self.credentials;
        for (key, value) in [
            ("name", self.params.name.as_ref()),
            ("user", c.user.as_ref()),
            ("pass", c.password.as_ref().map(|secret| &secret.0)),
            ("auth_token", c.token.as_ref().map(|secret| &secret.0)),
        ] {
            if let Some(value) = value {
                about[key] = value.as_str().into();
            }
        }
        let first = format!("CONNECT {about}\r\nSUB {}.* 1\r\nPING\r\n", conn.inbox);
        conn.write(first.as_bytes())?;
        conn.pong()
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
                Err(Trouble::Broken(e) | Trouble::Late(e)) => return Err(e),
            }
        }
    }
}

impl Conn {
    /// The same connection inside TLS, which the server speaks from here on.
    fn secure(self, host: &str, files: &TlsFiles, info: &Value) -> Result<Conn, String> {
        if info["tls_required"] != true && info["tls_available"] != true {
            return Err("the server has no TLS".into());
        }
        // What came before the handshake could be anybody's.
        if !self.stream.buffer().is_empty() {
            return Err("the server sent more than its INFO before TLS".into());
        }
        let wire = self.stream.into_inner().secure(host, files)?;
        Ok(Conn { stream: BufReader::new(wire), ..self })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let wire = self.stream.get_mut();
        wire.write_all(bytes).and_then(|()| wire.flush()).map_err(io)
    }

    /// One line without its end.
    fn line(&mut self) -> Result<String, Trouble> {
        let mut out = Vec::new();
        loop {
            let got = match self.stream.fill_buf() {
                Ok([]) => return Err(Trouble::Broken("the server closed the connection".into())),
                Ok(got) => got,
                Err(e) => return Err(io(e)),
            };
            let end = memchr::memchr(b'\n', got);
            let n = end.map_or(got.len(), |n| n + 1);
            out.extend_from_slice(&got[..n]);
            self.stream.consume(n);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&out).trim_end().to_owned());
            }
            if out.len() > MAX_NATS_LINE_BYTES {
                return Err(Trouble::Broken("the server sent too long a line".into()));
            }
        }
    }

    /// Waits for the answer to a PING; what comes before it is looked at.
    fn pong(&mut self) -> Result<(), Trouble> {
        loop {
            let line = self.line()?;
            match line.split(' ').next().unwrap_or("") {
                "PONG" => return Ok(()),
                "PING" => self.write(b"PONG\r\n")?,
                "-ERR" => {
                    let said = line.trim_start_matches("-ERR ").trim_matches('\'');
                    return Err(Trouble::Broken(said.to_owned()));
                }
                "MSG" | "HMSG" => drop(self.body(&line)?),
                _ => {}
            }
        }
    }

    /// The subject and content of a message line; with headers, those are in front.
    fn body(&mut self, line: &str) -> Result<(String, Vec<u8>), Trouble> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let subject = (*words.get(1).unwrap_or(&"")).to_owned();
        let size = words.last().and_then(|n| n.parse::<usize>().ok());
        let size = size
            .filter(|n| *n <= 64 * MAX_NATS_LINE_BYTES)
            .ok_or_else(|| Trouble::Broken("the server sent a bad message".into()))?;
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).map_err(io)?;
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
        self.stream.get_mut().set_deadline(Instant::now() + limit);
        self.write(&out)?;
        if !p.await_ack {
            // The answer to the PING shows that the server has read the message.
            return self.pong();
        }
        loop {
            let line = self.line()?;
            match line.split(' ').next().unwrap_or("") {
                "PING" => self.write(b"PONG\r\n")?,
                "-ERR" => return Err(Trouble::Said(line)),
                "MSG" | "HMSG" => {
                    let (subject, body) = self.body(&line)?;
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

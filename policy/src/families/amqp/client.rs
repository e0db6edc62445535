//! An AMQP 0-9-1 client that publishes with confirmation, for helper threads.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ringmta_options::plain::Plain;

use super::frames::{properties, shortstr, table, Reader};
use super::options::{AmqpConnection, AmqpMessage};
use super::uri::parse as parse_uri;
use crate::limits::{CLOSE_TIMEOUT, MAX_AMQP_FRAME_BYTES};
use crate::net::connection_slots::Places;
use crate::net::wire::{TlsFiles, Wire};

/// A channel on a connection of its own.
struct Conn {
    wire: Wire,
    frame_max: usize,
}

/// A failure, by what can be done about it.
enum Trouble {
    /// The connection broke: a fresh one may do.
    Broken(String),
    /// The server said no, or the time is over: final.
    Said(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Trouble::Broken(e) | Trouble::Said(e) => e,
        }
    }
}

fn broken(e: std::io::Error) -> Trouble {
    match e.kind() {
        std::io::ErrorKind::TimedOut => Trouble::Said(e.to_string()),
        _ => Trouble::Broken(e.to_string()),
    }
}

/// One frame that came in.
struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xCE;

impl Conn {
    fn open(p: &AmqpConnection) -> Result<Conn, String> {
        let mut wire = Wire::connect(&p.host, p.port, Instant::now() + p.connect_timeout)?;
        if p.enable_tls {
            let files = TlsFiles {
                authority: p.root_ca_cert.clone(),
                cert: p.client_cert.clone(),
                key: p.client_private_key.clone(),
            };
            wire = wire.secure(&p.host, &files)?;
        }
        let mut conn = Conn { wire, frame_max: 4096 };
        conn.handshake(p).map_err(Trouble::text)?;
        Ok(conn)
    }

    fn handshake(&mut self, p: &AmqpConnection) -> Result<(), Trouble> {
        self.write(b"AMQP\x00\x00\x09\x01")?;
        self.expect(10, 10)?;
        let mut about = Vec::new();
        let name = p.connection_name.as_deref().unwrap_or("ringmta");
        // Without it, a server just hangs up when the password is wrong.
        let can = Plain::map([
            ("authentication_failure_close", Plain::Bool(true)),
            ("publisher_confirms", Plain::Bool(true)),
            ("basic.nack", Plain::Bool(true)),
        ]);
        let known = Plain::map([
            ("product", Plain::str("ringmta")),
            ("capabilities", can),
            ("connection_name", Plain::str(name)),
        ]);
        table(&known, &mut about).map_err(Trouble::Said)?;
        shortstr("PLAIN", &mut about).map_err(Trouble::Said)?;
        let login = format!("\0{}\0{}", p.username, p.password.0);
        about.extend((login.len() as u32).to_be_bytes());
        about.extend(login.as_bytes());
        shortstr("en_US", &mut about).map_err(Trouble::Said)?;
        self.method(0, 10, 11, &about)?;
        let tune = self.expect(10, 30)?;
        let mut r = Reader(&tune);
        let (channels, frame_max) = (r.u16(), r.u32());
        let frame_max = match frame_max.unwrap_or(0) as usize {
            0 => MAX_AMQP_FRAME_BYTES,
            n => n.min(MAX_AMQP_FRAME_BYTES),
        };
        self.frame_max = frame_max.max(4096);
        let mut agreed = channels.unwrap_or(0).to_be_bytes().to_vec();
        agreed.extend((self.frame_max as u32).to_be_bytes());
        agreed.extend(0u16.to_be_bytes());
        self.method(0, 10, 31, &agreed)?;
        let mut open = Vec::new();
        shortstr(&p.vhost, &mut open).map_err(Trouble::Said)?;
        open.extend([0, 0]);
        self.method(0, 10, 40, &open)?;
        self.expect(10, 41)?;
        self.method(1, 20, 10, &[0])?;
        self.expect(20, 11)?;
        self.method(1, 85, 10, &[0])?;
        self.expect(85, 11).map(drop)
    }

    fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) -> Result<(), Trouble> {
        let mut out = vec![kind];
        out.extend(channel.to_be_bytes());
        out.extend((payload.len() as u32).to_be_bytes());
        out.extend(payload);
        out.push(END);
        self.write(&out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.wire.write_all(bytes).and_then(|()| self.wire.flush()).map_err(broken)
    }

    fn method(&mut self, channel: u16, class: u16, id: u16, args: &[u8]) -> Result<(), Trouble> {
        let head = [class.to_be_bytes(), id.to_be_bytes()].concat();
        self.send(METHOD, channel, &[head.as_slice(), args].concat())
    }

    fn frame(&mut self) -> Result<Frame, Trouble> {
        let mut head = [0; 7];
        self.wire.read_exact(&mut head).map_err(broken)?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        if head[0] == b'A' || size > MAX_AMQP_FRAME_BYTES {
            return Err(Trouble::Broken("the server does not speak AMQP 0-9-1".into()));
        }
        let mut payload = vec![0; size + 1];
        self.wire.read_exact(&mut payload).map_err(broken)?;
        match payload.pop() {
            Some(END) => Ok(Frame { kind: head[0], payload }),
            _ => Err(Trouble::Broken("a frame has no end".into())),
        }
    }

    /// The next method and its arguments; other frames are passed over. What closes the connection is an error.
    fn next(&mut self) -> Result<(u16, u16, Vec<u8>), Trouble> {
        loop {
            let frame = self.frame()?;
            if frame.kind != METHOD || frame.payload.len() < 4 {
                continue;
            }
            let mut r = Reader(&frame.payload);
            let (class, id) = (r.u16().unwrap_or(0), r.u16().unwrap_or(0));
            if matches!((class, id), (10, 50) | (20, 40)) {
                let (code, text) = (r.u16().unwrap_or(0), r.shortstr().unwrap_or_default());
                return Err(Trouble::Said(format!("{code} {text}")));
            }
            return Ok((class, id, frame.payload[4..].to_vec()));
        }
    }

    fn expect(&mut self, class: u16, id: u16) -> Result<Vec<u8>, Trouble> {
        match self.next()? {
            (c, i, args) if (c, i) == (class, id) => Ok(args),
            (c, i, _) => Err(Trouble::Broken(format!("the server sent method {c}.{i}"))),
        }
    }

    fn publish(&mut self, m: &AmqpMessage, limit: Duration) -> Result<(), Trouble> {
        self.wire.set_deadline(Instant::now() + limit);
        let payload: &[u8] = match &m.payload {
            Plain::Str(s) => s,
            other => {
                return Err(Trouble::Said(format!(
                    "`payload`: invalid type: {}, expected a string",
                    other.describe()
                )))
            }
        };
        let mut args = vec![0, 0];
        shortstr(&m.exchange, &mut args).map_err(Trouble::Said)?;
        shortstr(&m.routing_key, &mut args).map_err(Trouble::Said)?;
        args.push(u8::from(m.mandatory) | u8::from(m.immediate) << 1);
        let mut header = vec![0, 60, 0, 0];
        header.extend((payload.len() as u64).to_be_bytes());
        properties(m, &mut header).map_err(Trouble::Said)?;
        self.method(1, 60, 40, &args)?;
        self.send(HEADER, 1, &header)?;
        for part in payload.chunks(self.frame_max - 8) {
            self.send(BODY, 1, part)?;
        }
        let mut returned = None;
        loop {
            match self.next()? {
                (60, 80, _) => return returned.map_or(Ok(()), |e| Err(Trouble::Said(e))),
                (60, 120, _) => return Err(Trouble::Said("the server refused the message".into())),
                (60, 50, args) => {
                    let mut r = Reader(&args);
                    let (code, text) = (r.u16().unwrap_or(0), r.shortstr().unwrap_or_default());
                    returned = Some(format!("{code} {text}"));
                }
                _ => {}
            }
        }
    }
}

/// Connections to one server.
pub struct Pool {
    params: AmqpConnection,
    places: Places<Conn>,
}

impl Pool {
    /// A pool; nothing is connected yet.
    pub fn new(params: AmqpConnection) -> Pool {
        Pool { places: Places::new(params.pool_size), params }
    }

    /// A pool of the server a URI names.
    ///
    /// # Errors
    /// What is wrong with the URI.
    pub fn of_uri(uri: &str) -> Result<Pool, String> {
        parse_uri(uri).map(Pool::new)
    }

    /// Connects now, to see whether it can be done. Blocks: for helper threads.
    ///
    /// # Errors
    /// What the server or the network said.
    pub fn connect(&self) -> Result<(), String> {
        let kept = self.places.take(self.params.wait_timeout)?;
        let conn = kept.map_or_else(|| Conn::open(&self.params), Ok);
        let (conn, done) = match conn {
            Ok(conn) => (Some(conn), Ok(())),
            Err(e) => (None, Err(e)),
        };
        self.places.give_back(conn);
        done
    }

    /// Says good-bye on the connections that are idle. Blocks: for helper threads.
    pub fn close(&self) {
        for mut conn in self.places.drain() {
            conn.wire.set_deadline(Instant::now() + CLOSE_TIMEOUT);
            let bye = [&200u16.to_be_bytes()[..], &[0; 5]].concat();
            // A server that does not answer has lost nothing: all that was published was confirmed.
            let _ = conn.method(0, 10, 50, &bye).and_then(|()| conn.expect(10, 51));
        }
    }

    /// Publishes and waits for the server's confirmation. Blocks: for helper threads.
    ///
    /// # Errors
    /// What the server or the network said.
    pub fn publish(&self, m: &AmqpMessage) -> Result<(), String> {
        self.publish_within(m, self.params.publish_timeout)
    }

    /// As [`Pool::publish`], with a time limit of the caller's.
    ///
    /// # Errors
    /// What the server or the network said.
    pub fn publish_within(&self, m: &AmqpMessage, limit: Duration) -> Result<(), String> {
        if let Some(mut kept) = self.places.take(self.params.wait_timeout)? {
            match kept.publish(m, limit) {
                Ok(()) => {
                    self.places.give_back(Some(kept));
                    return Ok(());
                }
                Err(Trouble::Said(e)) => {
                    self.places.give_back(None);
                    return Err(e);
                }
                // It was closed while it was kept: once more on a new one.
                Err(Trouble::Broken(_)) => {}
            }
        }
        let sent = Conn::open(&self.params).and_then(|mut conn| match conn.publish(m, limit) {
            Ok(()) => Ok(conn),
            Err(e) => Err(e.text()),
        });
        let (conn, done) = match sent {
            Ok(conn) => (Some(conn), Ok(())),
            Err(e) => (None, Err(e)),
        };
        self.places.give_back(conn);
        done
    }
}

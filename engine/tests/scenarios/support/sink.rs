//! A next hop that behaves as it is told and keeps what it is sent, byte for byte.

use super::{wait, PATIENCE};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// A place in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Banner,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Dot,
    Rset,
}

/// A transaction it has seen to the end.
#[derive(Debug, Clone)]
pub struct Received {
    /// Number of the connection, from 1.
    pub connection: usize,
    /// The argument of MAIL FROM.
    pub from: String,
    /// The accepted recipients.
    pub to: Vec<String>,
    /// The message, dots unstuffed.
    pub data: Vec<u8>,
    /// When its dot came.
    pub at: Instant,
}

/// How it behaves.
pub struct Behaviour {
    /// Keywords of its EHLO.
    pub offers: Vec<&'static str>,
    /// The reply to a recipient that begins so.
    pub recipients: Vec<(String, String)>,
    /// The reply at a place, this many times.
    pub replies: Vec<(Phase, String, usize)>,
    /// Says nothing any more from here on.
    pub stall: Option<Phase>,
    /// Closes here, this many times.
    pub drop: Option<(Phase, usize)>,
    /// Answers to dots wait until this is cleared.
    pub hold_dots: bool,
    /// The reply to STARTTLS.
    pub starttls: Option<String>,
    /// Recipients beyond this many are one too many for a transaction.
    pub most_recipients: usize,
    /// Reads message data so slowly: bytes, then a pause.
    pub slow: Option<(usize, std::time::Duration)>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    changed: Condvar,
    messages: Mutex<Vec<Received>>,
    /// Command lines with the number of their connection; an empty line is its beginning.
    commands: Mutex<Vec<(usize, String, Instant)>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
    total: AtomicUsize,
    stop: AtomicBool,
    /// The connections that are open, by number.
    streams: Mutex<BTreeMap<usize, TcpStream>>,
    /// What no engine may ever send; a test with any of it fails.
    violations: Mutex<Vec<String>>,
}

impl Shared {
    fn note(&self, connection: usize, line: String) {
        let mut commands = self.commands.lock().unwrap();
        commands.push((connection, line, Instant::now()));
    }
}

/// The most of these spans that overlap.
pub fn most_at_once(spans: &[(Instant, Instant)]) -> usize {
    let at = |moment: Instant| {
        spans.iter().filter(|(from, to)| *from <= moment && moment <= *to).count()
    };
    spans.iter().map(|(from, _)| at(*from)).max().unwrap_or(0)
}

/// A running sink. It ends when this goes.
pub struct Sink {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Sink {
    pub fn start() -> Sink {
        Sink::on("127.0.0.1:0".parse().unwrap())
    }

    pub fn on(addr: SocketAddr) -> Sink {
        let listener = super::listen(addr);
        let addr = listener.local_addr().unwrap();
        let behaviour = Behaviour {
            offers: vec!["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"],
            recipients: Vec::new(),
            replies: Vec::new(),
            stall: None,
            drop: None,
            hold_dots: false,
            starttls: None,
            most_recipients: usize::MAX,
            slow: None,
        };
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            changed: Condvar::new(),
            messages: Mutex::default(),
            commands: Mutex::default(),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            streams: Mutex::default(),
            violations: Mutex::default(),
        });
        let state = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if state.stop.load(Ordering::SeqCst) {
                    return;
                }
                let state = state.clone();
                let number = state.total.fetch_add(1, Ordering::SeqCst) + 1;
                let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                state.most_open.fetch_max(open, Ordering::SeqCst);
                state.note(number, String::new());
                state.streams.lock().unwrap().insert(number, stream.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = Connection::new(stream, number, &state).run();
                    state.streams.lock().unwrap().remove(&number);
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Sink { addr, shared }
    }

    /// Changes how it behaves, also for connections that are open.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
        self.shared.changed.notify_all();
    }

    /// Answers `reply` to recipients that begin with `start`.
    pub fn refuse(&self, start: &str, reply: &str) {
        self.set(|behaviour| behaviour.recipients.push((start.into(), reply.into())));
    }

    /// Answers `reply` at `phase`, `times` times.
    pub fn reply_at(&self, phase: Phase, reply: &str, times: usize) {
        self.set(|behaviour| behaviour.replies.push((phase, reply.into(), times)));
    }

    /// Says this over every connection that is open, whatever was asked; a text that ends in `(close)` is the last.
    pub fn say_unasked(&self, text: &str) {
        let (text, last) = match text.strip_suffix(" (close)") {
            Some(text) => (text, true),
            None => (text, false),
        };
        for mut stream in self.shared.streams.lock().unwrap().values() {
            stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
            if last {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
        }
    }

    pub fn messages(&self) -> Vec<Received> {
        self.shared.messages.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.shared.messages.lock().unwrap().len()
    }

    /// Waits until it has at least `count` messages, and gives them back.
    pub fn wait_messages(&self, count: usize) -> Vec<Received> {
        wait(&format!("{count} messages at the sink"), || self.count() >= count);
        self.messages()
    }

    /// Every command line, in order, with the number of its connection.
    pub fn commands(&self) -> Vec<(usize, String)> {
        let commands = self.shared.commands.lock().unwrap();
        let said = commands.iter().filter(|(_, line, _)| !line.is_empty());
        said.map(|(connection, line, _)| (*connection, line.clone())).collect()
    }

    /// For each connection, when it was made and when its last MAIL came: while it was surely in
    /// use. (Its end is not told: a slow sink may notice that long after the engine.)
    pub fn spans(&self) -> Vec<(Instant, Instant)> {
        let mut spans: BTreeMap<usize, (Instant, Instant)> = BTreeMap::new();
        for (connection, line, at) in self.shared.commands.lock().unwrap().iter() {
            let span = spans.entry(*connection).or_insert((*at, *at));
            if line.starts_with("MAIL") {
                span.1 = *at;
            }
        }
        spans.into_values().collect()
    }

    /// How many command lines begin so.
    pub fn count_commands(&self, start: &str) -> usize {
        self.commands().iter().filter(|(_, line)| line.starts_with(start)).count()
    }

    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.shared.total.load(Ordering::SeqCst)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.addr);
        if !std::thread::panicking() {
            let violations = self.shared.violations.lock().unwrap();
            assert!(violations.is_empty(), "the engine broke the protocol: {violations:?}");
        }
    }
}

struct Connection<'a> {
    stream: BufReader<TcpStream>,
    number: usize,
    shared: &'a Shared,
    from: Option<String>,
    to: Vec<String>,
}

impl<'a> Connection<'a> {
    fn new(stream: TcpStream, number: usize, shared: &'a Shared) -> Connection<'a> {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_nodelay(true);
        Connection { stream: BufReader::new(stream), number, shared, from: None, to: Vec::new() }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.shared.behaviour.lock().unwrap()
    }

    fn violation(&self, what: String) {
        self.shared.violations.lock().unwrap().push(what);
    }

    /// Every line ends in CRLF and holds no other CR.
    fn check_line(&self, line: &[u8]) {
        let inner = line.strip_suffix(b"\r\n");
        if inner.is_none_or(|inner| inner.contains(&b'\r')) {
            self.violation(format!("a bare line end: {:?}", String::from_utf8_lossy(line)));
        }
    }

    /// Says it; a text that ends in `(close)` is the last of the connection.
    fn say(&mut self, text: &str) -> io::Result<()> {
        let (text, last) = match text.strip_suffix(" (close)") {
            Some(text) => (text, true),
            None => (text, false),
        };
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes())?;
        if !last {
            return Ok(());
        }
        // Closed with a FIN, not a reset: what is on its way is read.
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = io::Read::read_to_end(&mut self.stream, &mut rest);
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// What is to happen at `phase` instead of the ordinary: an error ends the connection.
    fn special(&mut self, phase: Phase) -> io::Result<Option<String>> {
        let mut behaviour = self.shared.behaviour.lock().unwrap();
        while !self.shared.stop.load(Ordering::SeqCst)
            && (behaviour.stall == Some(phase) || phase == Phase::Dot && behaviour.hold_dots)
        {
            behaviour = self.shared.changed.wait(behaviour).unwrap();
        }
        if let Some((at, left)) = &mut behaviour.drop {
            if *at == phase && *left > 0 {
                *left -= 1;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        let special = behaviour.replies.iter_mut().find(|(at, _, left)| *at == phase && *left > 0);
        Ok(special.map(|(_, reply, left)| {
            *left -= 1;
            reply.clone()
        }))
    }

    fn run(mut self) -> io::Result<()> {
        if let Some(reply) = self.special(Phase::Banner)? {
            return self.say(&reply);
        }
        self.say("220 sink.test ESMTP")?;
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.check_line(&line);
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            self.shared.note(self.number, text.clone());
            if !self.command(&text)? {
                return Ok(());
            }
        }
    }

    fn command(&mut self, line: &str) -> io::Result<bool> {
        let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let reply = match self.special(Phase::Ehlo)? {
                    Some(reply) => reply,
                    None => {
                        let offers = self.behaviour().offers.clone();
                        let lines: Vec<&str> = [&["sink.test"][..], &offers].concat();
                        let last = lines.len() - 1;
                        let mark = |at: usize| if at == last { ' ' } else { '-' };
                        let lines = lines.iter().enumerate();
                        let lines: Vec<String> =
                            lines.map(|(at, line)| format!("250{}{line}", mark(at))).collect();
                        lines.join("\r\n")
                    }
                };
                self.say(&reply)?;
            }
            "HELO" => self.say("250 sink.test")?,
            "MAIL" => self.mail(line)?,
            "RCPT" => self.rcpt(line)?,
            "DATA" => self.data()?,
            "RSET" => {
                self.from = None;
                self.to.clear();
                let special = self.special(Phase::Rset)?;
                self.say(special.as_deref().unwrap_or("250 2.0.0 reset"))?;
            }
            "STARTTLS" => {
                let reply = self.behaviour().starttls.clone();
                self.say(reply.as_deref().unwrap_or("502 5.5.1 what?"))?;
            }
            "NOOP" => self.say("250 2.0.0 nothing done")?,
            "QUIT" => {
                self.say("221 2.0.0 bye")?;
                return Ok(false);
            }
            _ => self.say("502 5.5.1 what?")?,
        }
        Ok(true)
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        let special = self.special(Phase::Mail)?;
        if special.is_none() {
            if self.from.is_some() {
                self.violation(format!("within a transaction: {line}"));
                return self.say("503 5.5.1 nested MAIL");
            }
            self.from = Some(line["MAIL FROM:".len()..].to_string());
            self.to.clear();
        }
        self.say(special.as_deref().unwrap_or("250 2.1.0 sender ok"))
    }

    fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let special = self.special(Phase::Rcpt)?;
        let address = line.trim_start_matches("RCPT TO:<").split('>').next().unwrap_or("");
        let refused = {
            let behaviour = self.behaviour();
            let found = behaviour.recipients.iter().find(|(start, _)| address.starts_with(start));
            found.map(|(_, reply)| reply.clone())
        };
        let reply = match special.or(refused) {
            Some(reply) => reply,
            None if self.from.is_none() => "503 5.5.1 MAIL first".into(),
            None if self.to.len() >= self.behaviour().most_recipients => {
                "452 4.5.3 too many recipients".into()
            }
            None => {
                self.to.push(address.to_string());
                "250 2.1.5 recipient ok".into()
            }
        };
        self.say(&reply)
    }

    fn data(&mut self) -> io::Result<()> {
        if let Some(reply) = self.special(Phase::Data)? {
            return self.say(&reply);
        }
        if self.to.is_empty() {
            return self.say("503 5.5.1 RCPT first");
        }
        self.say("354 go ahead")?;
        let mut data = Vec::new();
        let mut line = Vec::new();
        let mut paused = 0;
        loop {
            line.clear();
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.check_line(&line);
            if line == b".\r\n" {
                break;
            }
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            let slow = self.behaviour().slow;
            if let Some((bytes, pause)) = slow.filter(|(bytes, _)| data.len() / bytes != paused) {
                paused = data.len() / bytes;
                std::thread::sleep(pause);
            }
        }
        let at = Instant::now();
        let special = self.special(Phase::Dot)?;
        let from = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        let accepted = special.as_ref().is_none_or(|reply| reply.starts_with('2'));
        if accepted {
            let received = Received { connection: self.number, from, to, data, at };
            self.shared.messages.lock().unwrap().push(received);
        }
        self.say(special.as_deref().unwrap_or("250 2.0.0 taken"))
    }
}

//! The inbox's door as the programs beside it find it: HOST:PORT, or a Unix socket.

use ringmta_sandbox::relay::{is_address, Host, Outgoing};
use ringmta_smtp::client::capabilities::{data, is_seven_bit, Capabilities};
use ringmta_smtp::response::{ReplyReader, Response};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Longest silence of the inbox (RFC 5321 section 4.5.3.2.6 gives the answer to the final dot ten minutes; this one is near).
const PATIENCE: Duration = Duration::from_secs(60);

/// Where mail is handed in.
#[derive(Debug, Clone)]
pub enum Door {
    /// A server; TLS where it offers it, whatever its certificate, as Mailpit's program does.
    Tcp(Host),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl Door {
    /// `HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// What may be written.
    pub fn parse(text: &str) -> Result<Door, String> {
        let wrong = || format!("`{text}` is no server; write HOST:PORT or unix:PATH");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Door::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        let port = port.parse().map_err(|_| wrong())?;
        let (if_offered, allow_insecure) = (true, true);
        Ok(Door::Tcp(Host { host, port, if_offered, allow_insecure, ..Host::default() }))
    }

    /// Hands a message in; blocks.
    ///
    /// # Errors
    /// What the inbox said, or why it could not be asked.
    pub fn send(&self, from: String, to: Vec<String>, source: Vec<u8>) -> Result<(), String> {
        match self {
            Door::Tcp(host) => Outgoing { host: host.clone(), from, to, source }.send_now(),
            Door::Unix(path) => {
                let said = |error: io::Error| format!("{}: {error}", path.display());
                let socket = UnixStream::connect(path).map_err(said)?;
                socket.set_read_timeout(Some(PATIENCE)).map_err(said)?;
                socket.set_write_timeout(Some(PATIENCE)).map_err(said)?;
                Dialogue { socket, replies: ReplyReader::default() }.hand_in(&from, &to, &source)
            }
        }
    }

    /// Hands standard input to the inbox, and its answers to standard output.
    ///
    /// # Errors
    /// Why that ended early.
    pub fn speak(&self) -> Result<(), String> {
        match self {
            Door::Tcp(Host { host, port, .. }) => {
                let said = |error: io::Error| format!("{host}:{port}: {error}");
                let there = TcpStream::connect((host.as_str(), *port)).map_err(said)?;
                let back = there.try_clone().map_err(said)?;
                pass_on(&there, back, || there.shutdown(Shutdown::Write)).map_err(said)
            }
            Door::Unix(path) => {
                let said = |error: io::Error| format!("{}: {error}", path.display());
                let there = UnixStream::connect(path).map_err(said)?;
                let back = there.try_clone().map_err(said)?;
                pass_on(&there, back, || there.shutdown(Shutdown::Write)).map_err(said)
            }
        }
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Door::Tcp(Host { host, port, .. }) => write!(f, "{host}:{port}"),
            Door::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn pass_on(
    mut there: impl Write,
    mut back: impl Read + Send + 'static,
    end: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let answers = std::thread::spawn(move || {
        let mut out = io::stdout();
        let copied = io::copy(&mut back, &mut out);
        copied.and_then(|_| out.flush())
    });
    io::copy(&mut io::stdin().lock(), &mut there)?;
    end()?;
    answers.join().unwrap_or_else(|_| Err(io::Error::other("the answers were broken off")))
}

/// A transaction over a socket that the SMTP library does not reach.
struct Dialogue<S> {
    socket: S,
    replies: ReplyReader,
}

impl<S: Read + Write> Dialogue<S> {
    fn hand_in(mut self, from: &str, to: &[String], source: &[u8]) -> Result<(), String> {
        let all = to.iter().map(String::as_str).chain(Some(from).filter(|from| !from.is_empty()));
        // No line of ours may hold a line end of theirs.
        if let Some(wrong) = all.clone().find(|one| !is_address(one)) {
            return Err(format!("`{wrong}` is no address"));
        }
        let is_plain = all.into_iter().all(str::is_ascii);
        self.reply(2)?;
        let offers = Capabilities::parse(&self.say("EHLO localhost", 2)?.content);
        let mut mail = format!("MAIL FROM:<{from}>");
        if offers.eight_bit && !is_seven_bit(source) {
            mail.push_str(" BODY=8BITMIME");
        }
        if offers.smtputf8 && !is_plain {
            mail.push_str(" SMTPUTF8");
        }
        self.say(&mail, 2)?;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), 2)?;
        }
        self.say("DATA", 3)?;
        let mut body = Vec::new();
        data(&mut body, source);
        self.socket.write_all(&body).map_err(|error| error.to_string())?;
        self.reply(2)?;
        // The message is taken: whether the inbox likes to be left is no matter.
        let _ = self.say("QUIT", 2);
        Ok(())
    }

    /// Says a command, whose answer must be of this kind.
    fn say(&mut self, command: &str, kind: u16) -> Result<Response, String> {
        let line = format!("{command}\r\n");
        self.socket.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
        self.reply(kind)
    }

    fn reply(&mut self, kind: u16) -> Result<Response, String> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(reply) = self.replies.next_reply().map_err(|fault| fault.to_string())? {
                return if reply.code / 100 == kind { Ok(reply) } else { Err(reply.to_text()) };
            }
            match self.socket.read(&mut bytes).map_err(|error| error.to_string())? {
                0 => return Err("the connection has ended".into()),
                count => self.replies.push(&bytes[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors() {
        let shown = |text| Door::parse(text).unwrap().to_string();
        assert_eq!(shown("[::1]:25"), "::1:25");
        assert_eq!(shown("unix:/run/inbox.sock"), "unix:/run/inbox.sock");
        for wrong in ["localhost", "localhost:x", "unix:", ""] {
            assert!(Door::parse(wrong).is_err(), "{wrong}");
        }
    }
}

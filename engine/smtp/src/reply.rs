//! SMTP replies, and the one table where an error becomes one.

use crate::server::dot_reader::DataFault;
use std::borrow::Cow;

/// One reply: a code and a text that begins with the enhanced code where there is one (RFC 3463).
/// A text of several lines is sent as a multi-line reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Enhanced code and text.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a fixed text.
    pub const fn fixed(code: u16, text: &'static str) -> Reply {
        Reply { code, text: Cow::Borrowed(text) }
    }

    /// A reply with a made text.
    pub fn new(code: u16, text: impl Into<String>) -> Reply {
        Reply { code, text: Cow::Owned(text.into()) }
    }

    /// Whether it refuses what was asked.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// Appends the wire form. Control characters in the text become spaces, so that no text can
    /// forge a further reply.
    pub fn render(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').map(|line| line.trim_end_matches('\r')).peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { b'-' } else { b' ' };
            let code = self.code.clamp(200, 599);
            out.extend_from_slice(&[b'0' + (code / 100) as u8, b'0' + (code / 10 % 10) as u8]);
            out.extend_from_slice(&[b'0' + (code % 10) as u8, mark]);
            out.extend(line.bytes().map(|b| if b < 0x20 || b == 0x7f { b' ' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Why something was refused, as a fact; [`Refusal::reply`] says it in SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A verb we do not know or do not offer.
    Unimplemented,
    /// Bytes that are no command: NUL, control characters, not UTF-8.
    BadSyntax,
    /// A command line over the limit.
    LineTooLong,
    /// A command that does not fit the state.
    BadSequence,
    /// MAIL FROM whose address cannot be read.
    BadSender,
    /// RCPT TO whose address cannot be read.
    BadRecipient,
    /// EHLO or HELO without a usable domain.
    BadDomain,
    /// A parameter of MAIL or RCPT that cannot be read.
    BadParameter,
    /// A parameter of MAIL or RCPT that we do not know.
    UnknownParameter,
    /// Data broke a rule.
    Data(DataFault),
    /// One recipient too many in this transaction.
    TooManyRecipients,
    /// One message too many on this connection.
    TooManyMessages,
    /// Too many sessions.
    TooManyConnections,
    /// Too many sessions of this peer or its network, or begun too fast.
    TooManyOfPeer,
    /// Messages of this peer or its network come too fast.
    TooFast,
    /// Too much of this peer or its network has been refused lately.
    TooManyRefused,
    /// Too many protocol errors.
    TooManyErrors,
    /// Too many wrong passwords on this connection, or from this peer.
    TooManyGuesses,
    /// AUTH where TLS is required for it.
    AuthNeedsTls,
    /// AUTH by a client that has authenticated.
    AuthTwice,
    /// Wrong name or password.
    AuthFailed,
    /// A mechanism we do not offer.
    AuthMechanism,
    /// AUTH response that is not base64 or not of the mechanism's form.
    AuthSyntax,
    /// The client cancelled AUTH.
    AuthCancelled,
    /// The peer may not relay to this domain.
    RelayDenied,
    /// STARTTLS that cannot be had.
    TlsUnavailable,
    /// A message with too large a header.
    HeaderTooLarge,
    /// A message that has passed too many hops.
    Loop,
    /// A handler failed: our fault, not the sender's.
    PolicyFailed,
    /// The spool failed or timed out.
    SpoolFailed,
    /// The disk is full.
    SpoolFull,
    /// Memory for undelivered bodies is used up.
    MemoryFull,
    /// Log files are not written as fast as there is something to say.
    LogsBehind,
    /// The client was too slow.
    Timeout,
    /// We are stopping.
    Stopping,
    /// The client spoke HTTP.
    NotHttp,
}

impl Refusal {
    /// The reply that says it.
    pub fn reply(self) -> Reply {
        let (code, text) = match self {
            Refusal::Unimplemented => (502, "5.5.1 Command not implemented"),
            Refusal::BadSyntax => (501, "5.5.2 Syntax error: not a command line"),
            Refusal::LineTooLong => (500, "5.2.3 Line too long"),
            Refusal::BadSequence => (503, "5.5.0 Bad sequence of commands"),
            Refusal::BadSender => (501, "5.1.7 Bad sender address syntax"),
            Refusal::BadRecipient => (501, "5.1.3 Bad recipient address syntax"),
            Refusal::BadDomain => (501, "5.5.2 EHLO/HELO needs a domain or address literal"),
            Refusal::BadParameter => (501, "5.5.4 Bad parameter"),
            Refusal::UnknownParameter => (555, "5.5.4 Parameter not recognized"),
            Refusal::Data(DataFault::TooLarge) => (552, "5.3.4 Message exceeds the size limit"),
            Refusal::Data(DataFault::LineTooLong) => (500, "5.2.3 Line too long"),
            Refusal::Data(DataFault::BareEnding) => {
                (552, "5.6.0 Bare CR or LF in message data: lines must end with CRLF")
            }
            Refusal::Data(DataFault::NoMemory) => {
                (452, "4.3.1 Too much mail is being received, try again later")
            }
            Refusal::TooManyRecipients => (452, "4.5.3 Too many recipients"),
            Refusal::TooManyMessages => (421, "4.5.3 Too many messages on this connection"),
            Refusal::TooManyConnections => (421, "4.3.2 Too many connections, try again later"),
            Refusal::TooManyOfPeer => {
                (421, "4.7.0 Too many connections from your address, try again later")
            }
            Refusal::TooFast => (450, "4.7.1 Too much mail from your address, try again later"),
            Refusal::TooManyRefused => {
                (421, "4.7.0 Too much from your address was refused, try again later")
            }
            Refusal::TooManyErrors => (421, "4.7.0 Too many errors, closing connection"),
            Refusal::TooManyGuesses => (421, "4.7.0 Too many failed authentications, try later"),
            Refusal::AuthNeedsTls => (524, "5.7.11 AUTH needs TLS: use STARTTLS first"),
            Refusal::AuthTwice => (503, "5.5.1 Already authenticated"),
            Refusal::AuthFailed => (535, "5.7.8 Authentication credentials invalid"),
            Refusal::AuthMechanism => (504, "5.5.4 AUTH mechanism not available"),
            Refusal::AuthSyntax => (501, "5.5.2 AUTH response cannot be read"),
            Refusal::AuthCancelled => (501, "5.7.0 AUTH cancelled"),
            Refusal::RelayDenied => (550, "5.7.1 Relaying not permitted"),
            Refusal::TlsUnavailable => (454, "4.7.0 TLS not available"),
            Refusal::Loop => (554, "5.4.6 Too many hops: mail loop"),
            Refusal::HeaderTooLarge => (552, "5.3.4 Message header exceeds 1 MB"),
            Refusal::PolicyFailed => (451, "4.3.0 Policy failed, try again later"),
            Refusal::SpoolFailed => (451, "4.3.0 Message could not be stored, try again later"),
            Refusal::SpoolFull => (452, "4.3.1 Insufficient system storage, try again later"),
            Refusal::MemoryFull => (451, "4.3.1 Too much undelivered mail, try again later"),
            Refusal::LogsBehind => (451, "4.3.1 Log files are behind, try again later"),
            Refusal::Timeout => (421, "4.4.2 Idle too long, closing connection"),
            Refusal::Stopping => (421, "4.3.2 Shutting down"),
            Refusal::NotHttp => (502, "5.5.1 This is a mail server, not a web server"),
        };
        Reply::fixed(code, text)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        refusal.reply()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: Reply) -> String {
        let mut out = Vec::new();
        reply.render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn renders_one_and_many_lines() {
        assert_eq!(wire(Reply::fixed(250, "OK")), "250 OK\r\n");
        assert_eq!(wire(Reply::fixed(250, "a\nb\r\nc")), "250-a\r\n250-b\r\n250 c\r\n");
    }

    #[test]
    fn control_characters_cannot_forge_a_reply() {
        assert_eq!(wire(Reply::new(550, "x\r250 OK\x00")), "550 x 250 OK \r\n");
    }
}

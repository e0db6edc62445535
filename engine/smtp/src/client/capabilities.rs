//! What an SMTP client says: EHLO answers understood, commands and data rendered. No I/O.

use crate::lines::plain_lines;
use ringmta_mail::EnvelopeAddress;
use std::io::Write;

/// What a next hop offers (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 1870: offered, with its limit when it names one.
    pub size: Option<Option<u64>>,
    /// AUTH PLAIN is among the mechanisms (RFC 4954).
    pub auth_plain: bool,
}

impl Capabilities {
    /// Reads the lines of an EHLO reply.
    pub fn parse(content: &str) -> Capabilities {
        let mut found = Capabilities::default();
        for line in content.split('\n').skip(1) {
            let mut words = line.split([' ', '=']).filter(|w| !w.is_empty());
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "STARTTLS" => found.starttls = true,
                "8BITMIME" => found.eight_bit = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "SIZE" => {
                    let limit = words.next().and_then(|w| w.parse().ok()).filter(|n| *n > 0);
                    found.size = Some(limit);
                }
                "AUTH" => found.auth_plain |= words.any(|w| w.eq_ignore_ascii_case("PLAIN")),
                _ => {}
            }
        }
        found
    }
}

/// What a message needs of a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Bytes above 127 in the message.
    pub eight_bit: bool,
    /// Bytes above 127 in an address.
    pub smtputf8: bool,
    /// Bytes of the message.
    pub size: usize,
}

/// Appends `MAIL FROM` with the parameters the peer understands.
pub fn mail_from(out: &mut Vec<u8>, sender: &EnvelopeAddress, needs: Needs, offers: &Capabilities) {
    out.extend_from_slice(b"MAIL FROM:<");
    path(out, sender);
    out.push(b'>');
    if offers.size.is_some() {
        let _ = write!(out, " SIZE={}", needs.size);
    }
    if needs.eight_bit && offers.eight_bit {
        out.extend_from_slice(b" BODY=8BITMIME");
    }
    if needs.smtputf8 && offers.smtputf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an address: where its local part is ASCII in the form that needs no SMTPUTF8. A domain has no dot at its end on
/// the wire (RFC 5321 section 4.1.2), whatever a client has sent.
fn path(out: &mut Vec<u8>, address: &EnvelopeAddress) {
    let ascii = address.to_ascii();
    let address = ascii.as_deref().unwrap_or(address.email());
    out.extend_from_slice(address.trim_end_matches('.').as_bytes());
}

/// Appends `RCPT TO`.
pub fn rcpt_to(out: &mut Vec<u8>, recipient: &EnvelopeAddress) {
    out.extend_from_slice(b"RCPT TO:<");
    path(out, recipient);
    out.extend_from_slice(b">\r\n");
}

/// Appends `body` as message data: dots stuffed (RFC 5321 section 4.5.2), every line ended by
/// CRLF and nothing else, whatever the body holds, and the final dot. A bare CR or LF on the
/// wire could be read by a peer as the end of the message; it is made a CRLF here, the one place
/// where message bytes leave.
pub fn data(out: &mut Vec<u8>, body: &[u8]) {
    out.reserve(body.len() + body.len() / 64 + 16);
    // What needs no change is copied in one piece: `kept` is where the current piece begins.
    let (mut kept, mut at) = (0, plain_lines(body));
    if body.first() == Some(&b'.') {
        out.push(b'.');
    }
    while let Some(run) = memchr::memchr2(b'\r', b'\n', &body[at..]) {
        let end = at + run;
        if body[end] == b'\r' && body.get(end + 1) == Some(&b'\n') {
            at = end + 2;
        } else {
            out.extend_from_slice(&body[kept..end]);
            out.extend_from_slice(b"\r\n");
            at = end + 1;
            kept = at;
        }
        if body.get(at) == Some(&b'.') {
            out.extend_from_slice(&body[kept..at]);
            out.push(b'.');
            kept = at;
        }
    }
    out.extend_from_slice(&body[kept..]);
    if at < body.len() {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
}

/// Whether no byte of `body` needs 8BITMIME.
pub fn is_seven_bit(body: &[u8]) -> bool {
    body.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_goes_out_without_a_dot_at_its_end() {
        let said = |address: &str| {
            let mut out = Vec::new();
            rcpt_to(&mut out, &EnvelopeAddress::parse(address).unwrap());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(said("u@d.test."), "RCPT TO:<u@d.test>\r\n");
        assert_eq!(said("\"u.\"@d.test"), "RCPT TO:<\"u.\"@d.test>\r\n");
        assert_eq!(said("u@b\u{fc}cher.test."), "RCPT TO:<u@xn--bcher-kva.test>\r\n");
    }

    fn wire(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        data(&mut out, body);
        out
    }

    #[test]
    fn data_is_stuffed_and_ended() {
        assert_eq!(wire(b""), b".\r\n");
        assert_eq!(wire(b"a\r\n.b\r\n..\r\nc"), b"a\r\n..b\r\n...\r\nc\r\n.\r\n");
        assert_eq!(wire(b".\r\n"), b"..\r\n.\r\n");
    }

    #[test]
    fn no_bare_ending_reaches_the_wire() {
        for body in [&b"a\n.\nb"[..], b"a\r.\rb", b"a\r\n.\rb\n", b"\n.\r\n", b"a\r"] {
            let wire = wire(body);
            assert!(wire.ends_with(b"\r\n.\r\n"));
            let inner = &wire[..wire.len() - 3];
            for (at, byte) in inner.iter().enumerate() {
                match byte {
                    b'\r' => assert_eq!(inner.get(at + 1), Some(&b'\n'), "{body:?}"),
                    b'\n' => assert_eq!(inner.get(at.wrapping_sub(1)), Some(&b'\r'), "{body:?}"),
                    _ => {}
                }
            }
            assert!(!inner.windows(5).any(|w| w == b"\r\n.\r\n"), "{body:?}");
        }
    }

    #[test]
    fn long_bodies_go_as_short_ones() {
        let plain = b"0123456789 0123456789\r\n".repeat(100);
        for odd in [&b"\r"[..], b"\n", b"\r\n.", b"\n.", b"\r\r\n", b".", b"x"] {
            for at in 1020..1060 {
                let mut body = plain.clone();
                body.splice(at..at, odd.iter().copied());
                let mut want = Vec::new();
                // Cut where a line begins, so that no piece is long.
                for line in body.split_inclusive(|byte| *byte == b'\n') {
                    want.extend_from_slice(wire(line).strip_suffix(b".\r\n").unwrap());
                }
                want.extend_from_slice(b".\r\n");
                assert!(wire(&body) == want, "{odd:?} at {at}");
            }
        }
    }

    #[test]
    fn a_round_trip_through_the_dot_reader_gives_the_same_bytes() {
        use crate::server::dot_reader::{BareEndings, DotReader};
        for body in [&b"x\r\n"[..], b"..\r\n.\r\n...a\r\n", b"\r\n\r\n.\r\n"] {
            let mut reader = DotReader::new(BareEndings::Deny, 1000, 998);
            let mut read = Vec::new();
            let wire = wire(body);
            assert_eq!(reader.read(&wire, &mut read), (wire.len(), true));
            assert_eq!((reader.fault(), read.as_slice()), (None, body));
        }
    }

    #[test]
    fn capabilities() {
        let found =
            Capabilities::parse("x.test hi\nPIPELINING\nsize 1000\nAUTH LOGIN PLAIN\n8BITMIME");
        assert!(found.pipelining && found.eight_bit && found.auth_plain && !found.starttls);
        assert_eq!(found.size, Some(Some(1000)));
        // The greeting line is no keyword.
        assert_eq!(Capabilities::parse("PIPELINING"), Capabilities::default());
    }
}

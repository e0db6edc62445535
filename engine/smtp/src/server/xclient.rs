//! XCLIENT: a trusted front end says on whose behalf it speaks. The attributes are those of Postfix's XCLIENT_README that
//! name addresses: ADDR, PORT, DESTADDR, DESTPORT.

use crate::reply::{Refusal, Reply};
use crate::server::session::Session;
use crate::server::vocabulary::Claim;
use crate::server::vocabulary::{Ask, Asked, Step};
use std::net::{IpAddr, Ipv6Addr};

/// The keyword of EHLO.
pub const OFFER: &str = "XCLIENT ADDR PORT DESTADDR DESTPORT";

/// Reads the attributes; `None` when one is unknown, malformed, or comes twice. `[UNAVAILABLE]` and `[TEMPUNAVAIL]` leave
/// an attribute as it is.
pub fn parse(argument: &str) -> Option<Claim> {
    let mut claim = Claim::default();
    let mut seen = [false; 4];
    for pair in argument.split(' ').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        const NAMES: [&str; 4] = ["ADDR", "PORT", "DESTADDR", "DESTPORT"];
        let at = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        if std::mem::replace(&mut seen[at], true) {
            return None;
        }
        let value = xtext(value)?;
        if ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| word.eq_ignore_ascii_case(&value)) {
            continue;
        }
        match at {
            0 => claim.addr = Some(address(&value)?),
            1 => claim.port = Some(port(&value)?),
            2 => claim.dest_addr = Some(address(&value)?),
            _ => claim.dest_port = Some(port(&value)?),
        }
    }
    (seen != [false; 4]).then_some(claim)
}

fn address(text: &str) -> Option<IpAddr> {
    const V6: &str = "IPV6:";
    match text.get(..V6.len()).filter(|head| head.eq_ignore_ascii_case(V6)) {
        Some(_) => text[V6.len()..].parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        None => text.parse().ok(),
    }
}

fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Decodes xtext (RFC 3461 section 4): `+` and two upper-case hexadecimal digits stand for a byte.
fn xtext(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'+' {
            out.push(byte);
            continue;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'A'..=b'F' => Some(byte - b'A' + 10),
            _ => None,
        };
        out.push(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?);
    }
    String::from_utf8(out).ok()
}

impl Session {
    pub(super) fn on_xclient(&mut self, argument: &str) -> Option<Step> {
        if !self.params.xclient {
            return self.refuse(Refusal::Unimplemented);
        }
        if self.sender.is_some() {
            return self.refuse(Refusal::BadSequence);
        }
        match parse(argument) {
            Some(claim) => Some(self.ask(Asked::Xclient, Ask::Xclient(claim))),
            None => self.refuse(Refusal::BadSyntax),
        }
    }

    /// The session begins anew, as that of the client that was named.
    pub(super) fn after_xclient(&mut self) {
        self.greeted = None;
        self.extended = false;
        self.authenticated = false;
        self.reset_transaction();
        let text = format!("{} {}", self.params.hostname, self.params.banner);
        self.push(Reply::new(220, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes() {
        let all = parse("ADDR=192.0.2.1 PORT=5000 destaddr=IPV6:2001:db8::1  DESTPORT=25").unwrap();
        let want = Claim {
            addr: Some("192.0.2.1".parse().unwrap()),
            port: Some(5000),
            dest_addr: Some("2001:db8::1".parse().unwrap()),
            dest_port: Some(25),
        };
        assert_eq!(all, want);
        assert_eq!(parse("ADDR=[UNAVAILABLE] PORT=[TEMPUNAVAIL]"), Some(Claim::default()));
        assert_eq!(parse("PORT=+32+35").unwrap().port, Some(25));
        assert_eq!(parse("ADDR=::1").unwrap().addr, Some("::1".parse().unwrap()));
    }

    #[test]
    fn malformed_ones() {
        for bad in [
            "",
            " ",
            "ADDR",
            "ADDR=",
            "ADDR=x",
            "ADDR=192.0.2.1.5",
            "ADDR=IPV6:192.0.2.1",
            "PORT=65536",
            "PORT=-1",
            "PORT=+",
            "PORT=+4",
            "PORT=+zz",
            "PORT=+ff",
            "NAME=spike",
            "PORT=1 PORT=2",
            "PORT =1",
            "ADDR=192.0.2.1\u{e9}",
            "PORT=+FF",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}

//! Envelope addresses (RFC 5321 section 4.1.2, with UTF-8 as in RFC 6531).

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::limits::{MAX_ADDRESS_BYTES, MAX_DOMAIN_BYTES};

/// A reverse or forward path without its angle brackets. Cheap to clone; the null sender is the empty text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeAddress {
    text: Rc<str>,
    /// Byte position of the `@` that ends the local part; equal to the length for the null sender.
    at: usize,
}

/// Why a text is not a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// There is no `@` that could end the local part.
    NoDomain,
    /// The local part is empty or holds a character that needs quoting.
    BadLocalPart,
    /// The domain or address literal is not well formed.
    BadDomain,
    /// Longer than the limits of RFC 5321 section 4.5.3.1 leave room for.
    TooLong,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::NoDomain => "the address has no domain",
            AddressError::BadLocalPart => "the local part of the address is not valid",
            AddressError::BadDomain => "the domain of the address is not valid",
            AddressError::TooLong => "the address is too long",
        })
    }
}

impl std::error::Error for AddressError {}

impl EnvelopeAddress {
    /// Parses `local@domain`; the empty text is the null sender.
    pub fn parse(text: &str) -> Result<EnvelopeAddress, AddressError> {
        if text.is_empty() {
            return Ok(EnvelopeAddress::null());
        }
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong);
        }
        let at = local_part_len(text)?;
        check_domain(&text[at + 1..])?;
        Ok(EnvelopeAddress { text: Rc::from(text), at })
    }

    /// The null sender, `<>`.
    pub fn null() -> EnvelopeAddress {
        EnvelopeAddress { text: Rc::from(""), at: 0 }
    }

    /// Whether this is the null sender.
    pub fn is_null(&self) -> bool {
        self.text.is_empty()
    }

    /// The local part, quotes included as given.
    pub fn user(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain as given; an address literal keeps its brackets. Empty for the null sender.
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or("")
    }

    /// The whole address; empty for the null sender.
    pub fn email(&self) -> &str {
        &self.text
    }

    /// The domain in the form queues are keyed by: lower case, no trailing dot, U-labels as A-labels (RFC 5890 section
    /// 2.3.2.1), so that both spellings of a domain are one.
    pub fn routing_domain(&self) -> String {
        let domain = self.domain().trim_end_matches('.');
        if domain.is_ascii() {
            return domain.to_ascii_lowercase();
        }
        let mapped = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
        // Another form of the dot may have stood at its end, or what is mapped to nothing (UTS #46, section 4).
        match mapped.trim_end_matches('.') {
            "" => mapped,
            domain => domain.to_string(),
        }
    }

    /// The address without any byte beyond ASCII, which every host takes (RFC 6531 section 3.2); `None` when its local part,
    /// or a domain that has no A-label form, needs SMTPUTF8.
    pub fn to_ascii(&self) -> Option<Cow<'_, str>> {
        if self.text.is_ascii() {
            return Some(Cow::Borrowed(&self.text));
        }
        if !self.user().is_ascii() {
            return None;
        }
        let domain = idna::domain_to_ascii(self.domain()).ok()?;
        Some(Cow::Owned(format!("{}@{domain}", self.user())))
    }
}

impl fmt::Display for EnvelopeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EnvelopeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// `atext` of RFC 5322 section 3.2.3, plus everything beyond ASCII.
fn is_atext(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&c)
}

/// The length of the local part, which is also the position of the `@` behind it.
fn local_part_len(text: &str) -> Result<usize, AddressError> {
    let b = text.as_bytes();
    let end = if b[0] == b'"' { quoted_len(b)? } else { dot_string_len(b)? };
    match b.get(end) {
        Some(b'@') => Ok(end),
        None => Err(AddressError::NoDomain),
        Some(_) => Err(AddressError::BadLocalPart),
    }
}

fn quoted_len(b: &[u8]) -> Result<usize, AddressError> {
    let mut i = 1;
    while let Some(&c) = b.get(i) {
        match c {
            b'"' => return Ok(i + 1),
            b'\\' if b.get(i + 1).is_some_and(|n| (32..127).contains(n)) => i += 2,
            32..=126 if c != b'\\' => i += 1,
            0x80.. => i += 1,
            _ => return Err(AddressError::BadLocalPart),
        }
    }
    Err(AddressError::BadLocalPart)
}

/// Real mail holds local parts with empty atoms (`a..b@`, `a.@`); they are kept as they came.
fn dot_string_len(b: &[u8]) -> Result<usize, AddressError> {
    let end = b.iter().position(|c| !is_atext(*c) && *c != b'.').unwrap_or(b.len());
    if end == 0 {
        return Err(AddressError::BadLocalPart);
    }
    Ok(end)
}

fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.len() > MAX_DOMAIN_BYTES {
        return Err(AddressError::TooLong);
    }
    if let Some(inner) = domain.strip_prefix('[') {
        return match inner.strip_suffix(']') {
            Some(literal) if is_address_literal(literal) => Ok(()),
            _ => Err(AddressError::BadDomain),
        };
    }
    let labels = domain.strip_suffix('.').unwrap_or(domain);
    let good = !labels.is_empty() && labels.split('.').all(is_label);
    if good {
        Ok(())
    } else {
        Err(AddressError::BadDomain)
    }
}

fn is_label(label: &str) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_' || c >= 0x80;
    !label.is_empty()
        && label.len() <= 63 * 4
        && label.bytes().all(ok)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_address_literal(text: &str) -> bool {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            text[5..].parse::<std::net::Ipv6Addr>().is_ok()
        }
        _ => text.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_domain() {
        let of = |text: &str| EnvelopeAddress::parse(text).unwrap();
        let (u, a) = (of("u@M\u{fc}nchen.test"), of("u@xn--mnchen-3ya.test"));
        assert_eq!(u.routing_domain(), "xn--mnchen-3ya.test");
        assert_eq!(u.routing_domain(), a.routing_domain());
        assert_eq!(u.to_ascii().as_deref(), Some("u@xn--mnchen-3ya.test"));
        assert_eq!(a.to_ascii().as_deref(), Some("u@xn--mnchen-3ya.test"));
        assert_eq!(of("\u{fc}@d.test").to_ascii(), None);
        for last in ["\u{3002}", ".\u{34f}", "\u{34f}."] {
            let of = of(&format!("u@M\u{fc}nchen.test{last}"));
            assert_eq!(of.routing_domain(), "xn--mnchen-3ya.test", "{last:?}");
        }
        assert_eq!(EnvelopeAddress::null().to_ascii().as_deref(), Some(""));
    }

    #[test]
    fn parts() {
        let a = EnvelopeAddress::parse("Joe.Doe+x@Mail.Example.COM").unwrap();
        assert_eq!(
            (a.user(), a.domain(), a.email()),
            ("Joe.Doe+x", "Mail.Example.COM", "Joe.Doe+x@Mail.Example.COM")
        );
        assert_eq!(a.routing_domain(), "mail.example.com");
        let q = EnvelopeAddress::parse("\"a @ \\\" b\"@example.com").unwrap();
        assert_eq!(q.user(), "\"a @ \\\" b\"");
        assert_eq!(q.domain(), "example.com");
    }

    #[test]
    fn null_sender() {
        let n = EnvelopeAddress::parse("").unwrap();
        assert!(n.is_null());
        assert_eq!((n.user(), n.domain(), n.to_string().as_str()), ("", "", ""));
    }

    #[test]
    fn accepted() {
        for good in [
            "a@b",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "jürgen@bücher.example",
            "a..b@example.com",
            "x@_dmarc.example.",
            "a.@b.c",
        ] {
            assert!(EnvelopeAddress::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refused() {
        use AddressError::*;
        for (bad, why) in [
            ("abc", NoDomain),
            ("@b", BadLocalPart),
            ("a b@c", BadLocalPart),
            ("a@", BadDomain),
            ("a@b..c", BadDomain),
            ("a@-b", BadDomain),
            ("a@[1.2.3]", BadDomain),
            ("a@b:25", BadDomain),
            ("\"open@b", BadLocalPart),
            ("a@b@c", BadDomain),
        ] {
            assert_eq!(EnvelopeAddress::parse(bad), Err(why), "{bad}");
        }
        assert_eq!(EnvelopeAddress::parse(&format!("{}@b", "a".repeat(2000))), Err(TooLong));
    }
}

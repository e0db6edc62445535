//! Structured header values: parameters, addresses, message ids.

use std::fmt::{self, Write as _};

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address as Parsed, HeaderValue};

use crate::headers::encode_value;
use crate::limits::MAX_PARAMETERS;

/// A value with parameters: `text/plain; charset=utf-8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The value, in lower case.
    pub value: String,
    /// Parameters in order; names in lower case.
    pub list: Vec<(String, String)>,
}

impl Params {
    /// A value without parameters.
    pub fn new(value: &str) -> Params {
        Params { value: value.to_ascii_lowercase(), list: Vec::new() }
    }

    /// Reads a header value. Values split over several parameters and encoded ones (RFC 2231) are put together;
    /// those beyond the limit are not looked at.
    pub fn parse(text: &str) -> Params {
        let mut pieces = split_params(text).into_iter();
        let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut list: Vec<(String, String)> = Vec::new();
        for piece in pieces {
            let Some((name, value)) = piece.split_once('=') else { continue };
            let name = name.trim().to_ascii_lowercase();
            let value = unquoted(value.trim());
            let (name, encoded) = match name.strip_suffix('*') {
                Some(bare) => (bare.to_owned(), true),
                None => (name, false),
            };
            // `name*0`, `name*1`: parts of one value, in order.
            let base = name.split('*').next().unwrap_or(&name).to_owned();
            let value = if encoded { percent_decoded(&value) } else { value };
            let full = list.len() >= MAX_PARAMETERS;
            match list.iter_mut().find(|(n, _)| *n == base) {
                Some((_, whole)) if name.contains('*') => whole.push_str(&value),
                Some(_) => {}
                None if full => {}
                None => list.push((base, value)),
            }
        }
        Params { value, list }
    }

    /// A parameter by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sets a parameter.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.list.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => value.clone_into(v),
            None => self.list.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// RFC 2231 section 7.
fn can_be_attribute(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&c);
    !name.is_empty() && name.bytes().all(allowed)
}

/// At semicolons outside of quoted strings.
fn split_params(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == ';' && !quoted {
            out.push(String::new());
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped && quoted;
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else {
        return text.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// `utf-8'en'%e2%82%ac` (RFC 2231 section 4); later pieces have no charset in front.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.splitn(3, '\'');
    let (charset, rest) = match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(rest)) => (charset, rest),
        _ => ("utf-8", text),
    };
    let bytes = rest.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|h| data_encoding::HEXUPPER_PERMISSIVE.decode(h).ok()) {
            Some(byte) => {
                out.extend(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    let charset =
        encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap_or(encoding_rs::UTF_8);
    charset.decode_without_bom_handling(&out).0.into_owned()
}

/// As they are written. What cannot be written as it is must not become another name or value on the way: of a value it is
/// made visible, a parameter with such a name is left out.
impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '_' };
        self.value.chars().map(visible).try_for_each(|c| f.write_char(c))?;
        for (name, value) in self.list.iter().filter(|(name, _)| can_be_attribute(name)) {
            // What may be an attribute needs no quotes either.
            if can_be_attribute(value) {
                write!(f, "; {name}={value}")?;
            } else if value.is_ascii() {
                write!(f, "; {name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            } else {
                let encoded = value.bytes().fold(String::new(), |mut out, c| {
                    match c.is_ascii_alphanumeric() || b"-._~".contains(&c) {
                        true => out.push(c as char),
                        false => out.push_str(&format!("%{c:02X}")),
                    }
                    out
                });
                write!(f, "; {name}*=utf-8''{encoded}")?;
            }
        }
        Ok(())
    }
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name.
    pub name: Option<String>,
    /// What stands before the last `@`.
    pub local_part: String,
    /// What stands behind it.
    pub domain: String,
}

/// A person, or a group of them (RFC 5322 section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A person.
    Mailbox(Mailbox),
    /// A named list.
    Group {
        /// Its name.
        name: String,
        /// Its members.
        entries: Vec<Mailbox>,
    },
}

/// Reads an address list.
///
/// # Errors
/// A text that is none.
pub fn addresses(value: &str) -> Result<Vec<Address>, String> {
    let bad = || format!("`{value}` is not a list of addresses");
    let line = format!("{value}\r\n");
    let HeaderValue::Address(parsed) = MessageStream::new(line.as_bytes()).parse_address() else {
        return if value.trim().is_empty() { Ok(Vec::new()) } else { Err(bad()) };
    };
    let mailbox = |a: &Addr<'_>| -> Result<Mailbox, String> {
        let address = a.address.as_deref().ok_or_else(bad)?;
        let (local_part, domain) = address.rsplit_once('@').ok_or_else(bad)?;
        Ok(Mailbox {
            name: a.name.as_deref().map(str::to_owned),
            local_part: local_part.to_owned(),
            domain: domain.to_owned(),
        })
    };
    match &parsed {
        Parsed::List(list) => list.iter().map(|a| mailbox(a).map(Address::Mailbox)).collect(),
        Parsed::Group(groups) => {
            let mut out = Vec::new();
            for g in groups {
                let entries: Vec<Mailbox> =
                    g.addresses.iter().map(mailbox).collect::<Result<_, _>>()?;
                match &g.name {
                    Some(name) => out.push(Address::Group { name: name.to_string(), entries }),
                    None => out.extend(entries.into_iter().map(Address::Mailbox)),
                }
            }
            Ok(out)
        }
    }
}

fn phrase(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if !name.is_ascii() {
        return encode_value(name).into_owned();
    }
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The header value of an address list.
pub fn format_addresses(list: &[Address]) -> String {
    let mailbox = |m: &Mailbox| {
        let address = format!("{}@{}", m.local_part, m.domain);
        match m.name.as_deref().filter(|n| !n.is_empty()) {
            Some(name) => format!("{} <{address}>", phrase(name)),
            None => address,
        }
    };
    let all = list.iter().map(|a| match a {
        Address::Mailbox(m) => mailbox(m),
        Address::Group { name, entries } => {
            let inside: Vec<String> = entries.iter().map(mailbox).collect();
            format!("{}: {};", phrase(name), inside.join(", "))
        }
    });
    all.collect::<Vec<_>>().join(", ")
}

/// Ids between angle brackets; without any, the words of the text.
pub fn message_ids(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((_, inside)) = rest.split_once('<') {
        let Some((id, after)) = inside.split_once('>') else { break };
        out.push(id.trim().to_owned());
        rest = after;
    }
    if out.is_empty() {
        out = value.split_whitespace().map(str::to_owned).collect();
    }
    out
}

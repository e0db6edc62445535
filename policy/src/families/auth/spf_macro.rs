//! Macros of SPF (RFC 7208 section 7).

use std::net::IpAddr;

use crate::dns::names::NAME_BYTES;
use crate::limits::SPF_EXPANDED_BYTES;

/// What macros stand for.
pub(super) struct Context<'a> {
    pub ip: IpAddr,
    pub sender: &'a str,
    pub helo: &'a str,
    /// The domain whose record is being evaluated.
    pub domain: &'a str,
}

impl Context<'_> {
    fn value(&self, letter: char) -> Result<String, String> {
        let (local, sender_domain) =
            self.sender.rsplit_once('@').unwrap_or(("postmaster", self.sender));
        Ok(match letter.to_ascii_lowercase() {
            's' => self.sender.to_owned(),
            'l' => local.to_owned(),
            'o' => sender_domain.to_owned(),
            'd' => self.domain.to_owned(),
            'i' | 'c' => match self.ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => {
                    let nibbles = ip.octets().into_iter().flat_map(|o| [o >> 4, o & 15]);
                    nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
                }
            },
            // The validated name of the client is not asked for (section 7.2 advises against it).
            'p' => "unknown".into(),
            'v' => if self.ip.is_ipv4() { "in-addr" } else { "ip6" }.into(),
            'h' => self.helo.to_owned(),
            'r' => "unknown".into(),
            't' => "0".into(),
            other => return Err(format!("macro letter `{other}` is not known")),
        })
    }

    /// The text with its macros expanded.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let next = after.chars().next().ok_or("a macro ends early")?;
            rest = &after[next.len_utf8()..];
            match next {
                '%' => out.push('%'),
                '_' => out.push(' '),
                '-' => out.push_str("%20"),
                '{' => {
                    let (inside, after) = rest.split_once('}').ok_or("a macro has no end")?;
                    out.push_str(&self.one(inside)?);
                    rest = after;
                }
                other => return Err(format!("`%{other}` is not a macro")),
            }
            if out.len() > SPF_EXPANDED_BYTES {
                break;
            }
        }
        out.push_str(rest);
        match out.len() > SPF_EXPANDED_BYTES {
            true => Err(format!("a name comes to more than {SPF_EXPANDED_BYTES} bytes")),
            false => Ok(out),
        }
    }

    /// The text expanded to a name to be asked for. Too long a name loses labels from the left (section 7.3); it need not be
    /// one of the DNS all the same.
    pub fn name(&self, text: &str) -> Result<String, String> {
        let whole = self.expand(text)?;
        let mut name = whole.as_str();
        while name.len() > NAME_BYTES {
            let Some((_, rest)) = name.split_once('.') else { break };
            name = rest;
        }
        Ok(name.trim_end_matches('.').to_owned())
    }

    /// `letter [digits] [r] [delimiters]`.
    fn one(&self, inside: &str) -> Result<String, String> {
        let mut chars = inside.chars();
        let letter = chars.next().ok_or("a macro is empty")?;
        let rest = chars.as_str();
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let (count, rest) = rest.split_at(digits);
        let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(after) => (true, after),
            None => (false, rest),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return Err(format!("`%{{{inside}}}` is not a macro"));
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters };
        let value = self.value(letter)?;
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if reverse {
            parts.reverse();
        }
        if !count.is_empty() {
            let n: usize = count.parse().map_err(|_| "a macro keeps too many parts")?;
            if n == 0 {
                return Err("a macro keeps no part".into());
            }
            parts.drain(..parts.len().saturating_sub(n));
        }
        let joined = parts.join(".");
        Ok(if letter.is_ascii_uppercase() { escape(&joined) } else { joined })
    }
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, c| {
        match c.is_ascii_alphanumeric() || b"-._~".contains(&c) {
            true => out.push(c as char),
            false => out.push_str(&format!("%{c:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 7208 section 7.4.
        let c = Context {
            ip: "192.0.2.3".parse().unwrap(),
            sender: "strong-bad@email.example.com",
            helo: "mx.example.org",
            domain: "email.example.com",
        };
        for (text, want) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ] {
            assert_eq!(c.expand(text).unwrap(), want, "{text}");
        }
        let six = Context { ip: "2001:db8::cb01".parse().unwrap(), ..c };
        assert!(six.expand("%{ir}.%{v}").unwrap().starts_with("1.0.b.c.0."));
        for bad in ["%{z}", "%", "%{d", "%x", "%{d0}"] {
            assert!(six.expand(bad).is_err(), "{bad}");
        }
        let long = "%{s}.".repeat(20);
        let name = six.name(&long).unwrap();
        assert!(long.len() < 253 && name.len() <= 253, "{name}");
        assert!(name.ends_with(".com.strong-bad@email.example.com"), "{name}");
        assert!(six.name(&"%{s}".repeat(SPF_EXPANDED_BYTES)).is_err());
        assert!(six.name(&"x".repeat(SPF_EXPANDED_BYTES + 1)).is_err());
    }
}

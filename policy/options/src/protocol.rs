//! The `protocol` option of a queue: SMTP, Maildir, Lua.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::egress_path::EgressPath;
use crate::option_table;
use crate::plain::Plain;
use crate::suggest;
use crate::table::{Notes, OptionTable, Support};
use crate::value::OptionValue;

/// How the mail of a queue is delivered.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// SMTP to the MX of the domain, or to fixed hosts.
    Smtp {
        /// Fixed hosts in order; empty = MX lookup.
        mx_list: Vec<MxEntry>,
        /// Treat the list as if it had been looked up with DNSSEC.
        treat_mx_list_as_secure: bool,
    },
    /// Into a Maildir.
    Maildir(MaildirProtocol),
    /// To a connection object made by the policy.
    Lua {
        /// Event that makes the connection.
        constructor: String,
        /// Messages per `send_batch`.
        batch_size: usize,
        /// Fewer are sent only after `max_batch_latency`.
        min_batch_size: usize,
        /// Longest wait for a batch to fill.
        max_batch_latency: Duration,
    },
    /// To another node; refused by this version.
    Xfer {
        /// URL of the node.
        target: String,
    },
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol::Smtp { mx_list: Vec::new(), treat_mx_list_as_secure: false }
    }
}

/// One fixed next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct MxEntry {
    /// Host name, or the address when only that was given.
    pub name: String,
    /// Address, when it is known without a lookup.
    pub addr: Option<IpAddr>,
    /// Port, when it differs from the path's `smtp_port`.
    pub port: Option<u16>,
    /// The entry as it was written: names the site.
    pub given: String,
}

impl MxEntry {
    /// Reads `host[:port]` or `[address]:port`.
    ///
    /// # Errors
    /// It is neither.
    pub fn from_text(text: &str) -> Result<MxEntry, String> {
        let bad = || {
            format!("invalid value: string {text:?}, expected a host as \"host[:port]\" or \"[address]:port\"")
        };
        let given = text.to_owned();
        let entry = |name: String, addr, port| Ok(MxEntry { name, addr, port, given });
        if let Ok(a) = text.parse::<SocketAddr>() {
            return entry(a.ip().to_string(), Some(a.ip()), Some(a.port()));
        }
        if let Ok(a) = text.trim_matches(|c| c == '[' || c == ']').parse::<IpAddr>() {
            return entry(a.to_string(), Some(a), None);
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((n, p)) => (n, Some(p.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let literal = name.trim_matches(|c| c == '[' || c == ']').parse::<IpAddr>().ok();
        let name =
            literal.map(|a| a.to_string()).unwrap_or_else(|| name.trim_end_matches('.').to_owned());
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || "/@:".contains(c)) && literal.is_none()
        {
            return Err(bad());
        }
        entry(name, literal, port)
    }
}

impl OptionValue for MxEntry {
    const TYPE: &'static str =
        "a host (\"host[:port]\", \"[address]:port\" or {name=..., addr=...})";
    fn parse(v: &Plain, _: &mut Notes) -> Result<MxEntry, String> {
        if let Some(text) = v.as_str() {
            return MxEntry::from_text(text);
        }
        let text = |key: &str| v.get(key).and_then(Plain::as_str);
        let (Some(name), Some(addr)) = (text("name"), text("addr")) else {
            return Err(format!("invalid type: {}, expected {}", v.describe(), Self::TYPE));
        };
        let at = MxEntry::from_text(addr)?;
        if at.addr.is_none() {
            return Err(format!(
                "invalid value: string {addr:?}, expected an IP address, with a port if need be"
            ));
        }
        // The address names the site: hosts of one name at several addresses are several sites.
        Ok(MxEntry { name: name.to_owned(), addr: at.addr, port: at.port, given: addr.to_owned() })
    }
    fn to_plain(&self) -> Plain {
        match self.addr {
            Some(addr) if self.name != addr.to_string() => {
                let addr = self
                    .port
                    .map(|p| SocketAddr::new(addr, p).to_string())
                    .unwrap_or_else(|| addr.to_string());
                Plain::map([("name", Plain::str(&self.name)), ("addr", Plain::str(addr))])
            }
            _ => Plain::str(&self.given),
        }
    }
}

const KINDS: [&str; 4] = ["smtp", "maildir_path", "custom_lua", "xfer"];

impl OptionValue for Protocol {
    const TYPE: &'static str = "a protocol ({smtp={...}} or {custom_lua={...}})";

    fn parse(v: &Plain, notes: &mut Notes) -> Result<Protocol, String> {
        let fields = match v {
            Plain::Map(m) => m,
            Plain::List(l) if l.is_empty() => return Ok(Protocol::default()),
            Plain::Str(_) if v.is("smtp") => return Ok(Protocol::default()),
            _ => return Err(format!("invalid type: {}, expected {}", v.describe(), Self::TYPE)),
        };
        let Some((k, inner)) = fields.first() else { return Ok(Protocol::default()) };
        match k.key_text().as_str() {
            "smtp" if fields.len() == 1 => parse_smtp(inner, notes),
            "custom_lua" if fields.len() == 1 => parse_lua(inner, notes),
            "maildir_path" | "dir_mode" | "file_mode" => {
                MaildirProtocol::parse(v, notes).and_then(check_maildir)
            }
            "xfer" => {
                Err("transfer to another node is not supported by this version of ringmta".into())
            }
            "smtp" | "custom_lua" => {
                Err("invalid value: more than one protocol, expected a single one".into())
            }
            other => Err(suggest::unknown("variant", other, KINDS.into_iter())),
        }
    }

    fn to_plain(&self) -> Plain {
        match self {
            Protocol::Smtp { mx_list, treat_mx_list_as_secure } => {
                let mut inner =
                    vec![("treat_mx_list_as_secure", Plain::Bool(*treat_mx_list_as_secure))];
                if !mx_list.is_empty() {
                    inner.push(("mx_list", mx_list.to_plain()));
                }
                Plain::map([("smtp", Plain::map(inner))])
            }
            Protocol::Maildir(maildir) => {
                let modes = [("dir_mode", maildir.dir_mode), ("file_mode", maildir.file_mode)];
                let modes = modes.into_iter().filter_map(|(name, mode)| Some((name, mode?)));
                let path = [("maildir_path", maildir.maildir_path.to_plain())];
                Plain::map(
                    path.into_iter().chain(modes.map(|(name, mode)| (name, mode.to_plain()))),
                )
            }
            Protocol::Lua { constructor, batch_size, min_batch_size, max_batch_latency } => {
                let inner = [
                    ("constructor", constructor.to_plain()),
                    ("batch_size", batch_size.to_plain()),
                    ("min_batch_size", min_batch_size.to_plain()),
                    ("max_batch_latency", max_batch_latency.to_plain()),
                ];
                Plain::map([("custom_lua", Plain::map(inner))])
            }
            Protocol::Xfer { target } => {
                Plain::map([("xfer", Plain::map([("target", target.to_plain())]))])
            }
        }
    }
}

/// Real trees put options here that never had an effect; each gets a warning that names the one that works.
fn parse_smtp(v: &Plain, notes: &mut Notes) -> Result<Protocol, String> {
    let mut mx_list = Vec::new();
    let mut treat_mx_list_as_secure = false;
    let Plain::Map(fields) = v else { return Ok(Protocol::default()) };
    for (k, v) in fields.iter() {
        match k.key_text().as_str() {
            "mx_list" => mx_list = Vec::parse(v, notes).map_err(|e| format!("`mx_list`: {e}"))?,
            "treat_mx_list_as_secure" => treat_mx_list_as_secure = bool::parse(v, notes)?,
            other => {
                let instead = match other {
                    "ehlo_domain" | "ehlo_hostname" => {
                        "; use `ehlo_domain` of make_egress_source or make_egress_path".to_owned()
                    }
                    known if EgressPath::OPTIONS.iter().any(|d| d.name == known) => {
                        format!("; use `{known}` of make_egress_path")
                    }
                    _ => String::new(),
                };
                notes.warnings.push(format!(
                    "kumo.make_queue_config: `{other}` inside protocol.smtp has no effect{instead}"
                ));
            }
        }
    }
    Ok(Protocol::Smtp { mx_list, treat_mx_list_as_secure })
}

option_table! {
    /// The `custom_lua` table.
    pub struct LuaProtocol for "custom_lua" {
        /// Event that makes the connection.
        constructor: String = String::new(); Support::Required,
        /// Messages per `send_batch`.
        batch_size: usize = 1,
        /// Fewer are sent only after `max_batch_latency`.
        min_batch_size: usize = 1,
        /// Longest wait for a batch to fill (duration).
        max_batch_latency: Duration = Duration::ZERO,
    }
}

option_table! {
    /// The protocol that puts mail into Maildirs.
    pub struct MaildirProtocol for "protocol" {
        /// Folder of the Maildir, an absolute path; a template, filled in for each recipient. It is made when it is not there.
        maildir_path: String = String::new(); Support::Required,
        /// Mode of folders that are made, a number (`tonumber('775', 8)`); 0700 unless given.
        dir_mode: Option<u32> = None,
        /// Mode of the files, a number; 0600 unless given.
        file_mode: Option<u32> = None,
    }
}

/// Checks what the table alone does not.
fn check_maildir(maildir: MaildirProtocol) -> Result<Protocol, String> {
    let MaildirProtocol { maildir_path, dir_mode, file_mode } = &maildir;
    if !maildir_path.starts_with('/') {
        return Err(format!(
            "`maildir_path`: invalid value: string {maildir_path:?}, expected an absolute path"
        ));
    }
    for (name, mode) in [("dir_mode", dir_mode), ("file_mode", file_mode)] {
        if mode.is_some_and(|mode| mode > 0o7777) {
            return Err(format!("`{name}`: expected a mode of at most tonumber('7777', 8)"));
        }
    }
    Ok(Protocol::Maildir(maildir))
}

fn parse_lua(v: &Plain, notes: &mut Notes) -> Result<Protocol, String> {
    let t = LuaProtocol::parse(v, notes)?;
    Ok(Protocol::Lua {
        constructor: t.constructor,
        batch_size: t.batch_size.max(1),
        min_batch_size: t.min_batch_size.clamp(1, t.batch_size.max(1)),
        max_batch_latency: t.max_batch_latency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> (String, Option<String>, Option<u16>) {
        let e = MxEntry::from_text(text).unwrap();
        assert_eq!(e.given, text);
        (e.name, e.addr.map(|a| a.to_string()), e.port)
    }

    #[test]
    fn mx_entries() {
        assert_eq!(entry("mx.example."), ("mx.example".into(), None, None));
        assert_eq!(entry("mx.example:2525"), ("mx.example".into(), None, Some(2525)));
        assert_eq!(
            entry("127.0.0.1:2601"),
            ("127.0.0.1".into(), Some("127.0.0.1".into()), Some(2601))
        );
        assert_eq!(entry("[::1]:25"), ("::1".into(), Some("::1".into()), Some(25)));
        assert_eq!(entry("[10.0.0.1]"), ("10.0.0.1".into(), Some("10.0.0.1".into()), None));
        assert_eq!(
            entry("[10.0.0.1]:587"),
            ("10.0.0.1".into(), Some("10.0.0.1".into()), Some(587))
        );
        for bad in ["", "host:port", "a b", "user@host"] {
            assert!(MxEntry::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_keys_in_smtp_warn_once_each() {
        let mut n = Notes::default();
        let v = Plain::map([(
            "smtp",
            Plain::map([("ehlo_domain", Plain::str("x")), ("enable_tls", Plain::str("Required"))]),
        )]);
        assert_eq!(Protocol::parse(&v, &mut n), Ok(Protocol::default()));
        assert_eq!(n.warnings.len(), 2);
        assert!(n.warnings[0].contains("use `ehlo_domain` of make_egress_source"));
        assert!(n.warnings[1].contains("use `enable_tls` of make_egress_path"));
    }

    #[test]
    fn maildirs() {
        let mut n = Notes::default();
        let path = ("maildir_path", Plain::str("/m/{{ local_part }}"));
        let v = Plain::map([path.clone(), ("file_mode", Plain::Int(0o664))]);
        let Ok(Protocol::Maildir(maildir)) = Protocol::parse(&v, &mut n) else { panic!() };
        assert_eq!((maildir.dir_mode, maildir.file_mode), (None, Some(0o664)));
        assert_eq!(Protocol::Maildir(maildir).to_plain(), v);
        let wrong = |v: Plain| Protocol::parse(&v, &mut Notes::default()).unwrap_err();
        let relative = Plain::map([("maildir_path", Plain::str("m"))]);
        assert!(wrong(relative).contains("expected an absolute path"));
        let mode = Plain::map([path.clone(), ("dir_mode", Plain::Int(0o20000))]);
        assert!(wrong(mode).contains("`dir_mode`"));
        assert!(wrong(Plain::map([("dir_mode", Plain::Int(7))])).contains("maildir_path"));
        let other = Plain::map([path, ("owner", Plain::str("x"))]);
        assert!(wrong(other).contains("owner"));
    }

    #[test]
    fn refusals_are_clear() {
        let mut n = Notes::default();
        let v = Plain::map([("xfer", Plain::map([("target", Plain::str("http://x"))]))]);
        assert_eq!(
            Protocol::parse(&v, &mut n).unwrap_err(),
            "transfer to another node is not supported by this version of ringmta"
        );
        let v = Plain::map([("smpt", Plain::list(vec![]))]);
        assert!(Protocol::parse(&v, &mut n).unwrap_err().ends_with("did you mean `smtp`?"));
    }
}

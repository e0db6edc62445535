//! Where DNS questions go, and how they are asked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::option_table;
use crate::plain::Plain;
use crate::suggest;
use crate::table::{Notes, OptionTable, Support};
use crate::value::OptionValue;

/// Port of name servers given without one.
const DNS_PORT: u16 = 53;

/// A name server as a policy writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct NameServer(pub SocketAddr);

impl OptionValue for NameServer {
    const TYPE: &'static str =
        "a name server (\"ip\", \"ip:port\" or { socket_addr = \"ip:port\" })";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<NameServer, String> {
        if let Plain::Map(fields) = v {
            for (key, value) in fields.iter() {
                name_server_field(&key.key_text(), value, notes)?;
            }
        }
        let text =
            v.get("socket_addr").unwrap_or(v).as_str().ok_or_else(|| {
                format!("invalid type: {}, expected {}", v.describe(), Self::TYPE)
            })?;
        let addr = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)));
        addr.map(NameServer)
            .map_err(|_| format!("invalid value: {}, expected {}", v.describe(), Self::TYPE))
    }
    fn to_plain(&self) -> Plain {
        Plain::str(self.0.to_string())
    }
}

const SERVER_FIELDS: [&str; 4] =
    ["socket_addr", "protocol", "trust_negative_responses", "bind_addr"];

/// Looks at one field of a name server that is given as a table.
fn name_server_field(name: &str, value: &Plain, notes: &mut Notes) -> Result<(), String> {
    let instead = match name {
        "socket_addr" => return Ok(()),
        "protocol" if value.is("udp_then_tcp") || value.is("udp") => return Ok(()),
        "protocol" if value.is("tcp") => {
            "servers are asked over UDP, and over TCP for long answers"
        }
        "protocol" => {
            return Err(format!(
                "invalid value: {}, expected \"udp_then_tcp\", \"udp\" or \"tcp\" as `protocol`",
                value.describe()
            ))
        }
        "trust_negative_responses" => "that there is no such name is always believed",
        "bind_addr" => "questions leave from the address the system picks",
        other => return Err(suggest::unknown("field", other, SERVER_FIELDS.into_iter())),
    };
    notes.warnings.push(format!("`{name}` of a name server has no effect: {instead}"));
    Ok(())
}

const FULL_NAMES: &str = "mail domains are always asked for by their full name";

option_table! {
    /// Where DNS questions go.
    pub struct ResolverConfig for "kumo.dns.configure_resolver" {
        /// Servers, tried in order; those of the system when none are given.
        name_servers: Vec<NameServer> = Vec::new(),
        /// Domain of this host.
        domain: Option<String> = None; Support::NoEffect(FULL_NAMES),
        /// Domains to search.
        search: Vec<String> = Vec::new(); Support::NoEffect(FULL_NAMES),
        /// Settings of another resolver.
        options: Option<Plain> = None; Support::NoEffect("deadlines, tries and cache sizes are fixed"),
    }
}

option_table! {
    /// A resolver with a name of its own.
    pub struct NamedResolverConfig for "kumo.dns.define_resolver" {
        /// Servers, tried in order; those of the system when none are given.
        name_servers: Vec<NameServer> = Vec::new(),
        /// Domain of this host.
        domain: Option<String> = None; Support::NoEffect(FULL_NAMES),
        /// Domains to search.
        search: Vec<String> = Vec::new(); Support::NoEffect(FULL_NAMES),
        /// How its servers are asked, and what is kept of their answers.
        options: ResolverOptions = ResolverOptions::default(),
    }
}

const ONE_AT_A_TIME: &str = "servers are asked one after the other, in the order given";

option_table! {
    /// How name servers are asked, and what is kept of their answers.
    pub struct ResolverOptions for "kumo.dns.define_resolver.options" check check {
        /// How long one server may take to answer one question.
        timeout: Option<Duration> = None,
        /// Tries per question, over all servers.
        attempts: Option<usize> = None,
        /// Answers kept per shard; none are kept with 0.
        cache_size: Option<usize> = None,
        /// Answers are kept at least so long.
        positive_min_ttl: Option<Duration> = None,
        /// Answers are kept at most so long.
        positive_max_ttl: Option<Duration> = None,
        /// That there is nothing is remembered at least so long.
        negative_min_ttl: Option<Duration> = None,
        /// That there is nothing is remembered at most so long.
        negative_max_ttl: Option<Duration> = None,
        /// Ask the server to look further when it does not know itself.
        recursion_desired: bool = true,
        /// DNSSEC.
        validate: bool = false; Support::Refused,
        /// Where the keys for DNSSEC are.
        trust_anchor_file: Option<String> = None; Support::Refused,
        /// Random case in questions.
        case_randomization: bool = false; Support::NoEffect("answers are matched by id, question and port"),
        /// EDNS.
        edns0: bool = false; Support::NoEffect("long answers are fetched over TCP"),
        /// Which family is asked for.
        ip_strategy: Option<Plain> = None; Support::NoEffect("each lookup names its strategy"),
        /// Dots of a name that is whole.
        ndots: Option<usize> = None; Support::NoEffect(FULL_NAMES),
        /// Questions under way at once.
        num_concurrent_reqs: Option<usize> = None; Support::NoEffect(ONE_AT_A_TIME),
        /// Whether CNAMEs on the way are kept.
        preserve_intermediates: bool = true; Support::NoEffect("only the answer itself is kept"),
        /// Which server is asked first.
        server_ordering_strategy: Option<Plain> = None; Support::NoEffect(ONE_AT_A_TIME),
        /// Ask over TCP when UDP fails.
        try_tcp_on_error: bool = false; Support::NoEffect("TCP is used for answers that were cut"),
        /// Names of /etc/hosts.
        use_hosts_file: Option<Plain> = None; Support::NoEffect("mail is not routed by /etc/hosts"),
    }
}

impl ResolverOptions {
    fn check(&mut self, _: &mut Notes) -> Result<(), String> {
        /// More tries would keep a message's route waiting for minutes.
        const MAX_ATTEMPTS: usize = 10;
        /// Longer than this no handler waits for an answer.
        const MAX_TIMEOUT: Duration = Duration::from_secs(60);
        if self.attempts.is_some_and(|n| !(1..=MAX_ATTEMPTS).contains(&n)) {
            return Err(format!("option `attempts`: expected a number from 1 to {MAX_ATTEMPTS}"));
        }
        if self.timeout.is_some_and(|t| t.is_zero() || t > MAX_TIMEOUT) {
            return Err(format!(
                "option `timeout`: expected more than nothing and at most {} seconds",
                MAX_TIMEOUT.as_secs()
            ));
        }
        Ok(())
    }
}

impl OptionValue for ResolverOptions {
    const TYPE: &'static str = "a table of resolver options";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<ResolverOptions, String> {
        <ResolverOptions as OptionTable>::parse(v, notes)
    }
    fn to_plain(&self) -> Plain {
        self.fields()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(fields: &[(&str, &str)]) -> (Result<NameServer, String>, Vec<String>) {
        let mut notes = Notes::default();
        let table = Plain::map(fields.iter().map(|(name, value)| (*name, Plain::str(value))));
        (NameServer::parse(&table, &mut notes), notes.warnings)
    }

    #[test]
    fn every_field_of_a_name_server_is_heeded_or_told() {
        let at = ("socket_addr", "127.0.0.1:53");
        assert!(server(&[at]).0.is_ok());
        assert!(server(&[at, ("protocol", "udp")]).0.is_ok());
        assert_eq!(server(&[at, ("protocol", "udp_then_tcp")]).1, [""; 0]);
        for (field, value) in [
            ("protocol", "tcp"),
            ("trust_negative_responses", "true"),
            ("bind_addr", "127.0.0.2:0"),
        ] {
            let (parsed, warnings) = server(&[at, (field, value)]);
            assert!(parsed.is_ok() && warnings.len() == 1 && warnings[0].contains(field));
        }
        for (field, value, told) in
            [("protocol", "tls", "expected \"udp_then_tcp\""), ("protocl", "udp", "protocol")]
        {
            let error = server(&[at, (field, value)]).0.unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}

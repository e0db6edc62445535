//! Options with a fixed set of words.

use crate::plain::Plain;
use crate::suggest;
use crate::table::Notes;
use crate::value::{wrong, OptionValue};

macro_rules! words {
    ( $(
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(#[doc = $first_doc:literal])+ $first:ident,
            $( $(#[doc = $doc:literal])+ $word:ident, )*
        }
    )+ ) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $first_doc])+ $first,
            $( $(#[doc = $doc])+ $word, )*
        }

        impl $name {
            const WORDS: &'static [&'static str] = &[stringify!($first) $(, stringify!($word))*];

            /// The word as a policy writes it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $name::$first => stringify!($first),
                    $( $name::$word => stringify!($word), )*
                }
            }
        }

        impl OptionValue for $name {
            const TYPE: &'static str =
                concat!("one of '", stringify!($first), "'" $(, " '", stringify!($word), "'")*);
            const LUA_TYPE: &'static str =
                concat!("'", stringify!($first), "'" $(, "|'", stringify!($word), "'")*);
            fn parse(v: &Plain, _: &mut Notes) -> Result<$name, String> {
                match v.as_str().ok_or_else(|| wrong::<$name>(v))? {
                    stringify!($first) => Ok($name::$first),
                    $( stringify!($word) => Ok($name::$word), )*
                    other => Err(suggest::unknown("variant", other, Self::WORDS.iter().copied())),
                }
            }
            fn to_plain(&self) -> Plain {
                Plain::str(self.as_str())
            }
        }
    )+ };
}

words! {
    /// How much of the message a delivery status report is about goes into it.
    pub enum IncludeOriginal {
        /// All of it.
        FullContent,
        /// Its header.
        HeadersOnly,
        /// Nothing.
        No,
    }

    /// What an HTTP listener may be for.
    pub enum HttpDoor {
        /// Mail handed in.
        Injection,
        /// Queues looked at and given orders, messages read, the policy loaded anew.
        Administration,
        /// Counters and gauges.
        Metrics,
    }

    /// How records are put into the requests of a hook of the engine.
    pub enum RecordsBody {
        /// As a JSON array of as many as `batch_size` says.
        Array,
        /// Each by itself, as a JSON object: one record per request.
        Object,
    }

    /// How the recipients of one transaction become messages.
    pub enum BatchHandling {
        /// One message per recipient.
        BifurcateAlways,
        /// One message per recipient domain.
        BatchByDomain,
    }

    /// What to do with bare CR or LF in DATA.
    pub enum LineEndings {
        /// 552 (safe against smuggling).
        Deny,
        /// Take it as it is.
        Allow,
        /// Turn each into CRLF.
        Fix,
    }

    /// Use of TLS towards the next hop.
    pub enum EnableTls {
        /// When offered, with certificate checks where they are asked for; clear text otherwise.
        Opportunistic,
        /// When offered, any certificate.
        OpportunisticInsecure,
        /// Always, with a valid certificate.
        Required,
        /// Always, any certificate.
        RequiredInsecure,
        /// Never.
        Disabled,
    }

    /// What to do when a connection ends in the middle of a session's work.
    pub enum ReconnectStrategy {
        /// Give the session up.
        TerminateSession,
        /// Connect to the same host again.
        ReconnectSameHost,
        /// Go on with the next host of the plan.
        ConnectNextHost,
    }

    /// What is done about a finding.
    pub enum Severity {
        /// Nothing.
        Ignore,
        /// It is listed as a warning.
        Warn,
        /// It is listed as an error.
        Error,
    }

    /// Address families looked up for a next hop, in order of preference.
    pub enum IpLookupStrategy {
        /// Both, mixed.
        Ipv4AndIpv6,
        /// A records only.
        Ipv4Only,
        /// AAAA records only.
        Ipv6Only,
        /// AAAA records; A records when there are none.
        Ipv6ThenIpv4,
        /// A records; AAAA records when there are none.
        Ipv4ThenIpv6,
    }

    /// When a cached configuration is asked for again.
    pub enum RefreshStrategy {
        /// After its interval.
        Ttl,
        /// When the configuration epoch changes.
        Epoch,
    }

    /// What to do with an inbound report addressed to a listener domain.
    pub enum ReportHandling {
        /// Treat it as any mail.
        Ignore,
        /// Make a record of it and drop it.
        LogThenDrop,
        /// Make a record of it and relay it.
        LogThenRelay,
    }

    /// How a message is canonicalised before it is signed (RFC 6376 section 3.4).
    pub enum Canonicalization {
        /// White space changes are tolerated.
        Relaxed,
        /// No change is tolerated.
        Simple,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_word() {
        let err = EnableTls::parse(&Plain::str("Requird"), &mut Notes::default()).unwrap_err();
        assert_eq!(
            err,
            "unknown variant `Requird`, expected one of `Opportunistic`, `OpportunisticInsecure`, `Required`, `RequiredInsecure`, `Disabled`; did you mean `Required`?"
        );
    }

    #[test]
    fn words_read_back() {
        for w in [LineEndings::Deny, LineEndings::Allow, LineEndings::Fix] {
            assert_eq!(LineEndings::parse(&w.to_plain(), &mut Notes::default()), Ok(w));
        }
    }
}

//! How shaping data is loaded, and what is found wrong with it.

use ringmta_options::*;

/// The limits shipped in the binary.
pub const BUILT_IN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/data/shaping.toml"));

/// JSON objects, as sections are.
pub(crate) type Map = serde_json::Map<String, serde_json::Value>;

option_table! {
    /// How findings are graded while shaping data is loaded.
    pub struct ShapingOptions for "kumo.shaping.load" {
        /// Two providers match one site.
        provider_overlap: Severity = Severity::Ignore,
        /// The MX of a domain cannot be looked up.
        dns_fail: Severity = Severity::Ignore,
        /// A domain takes no mail (RFC 7505).
        null_mx: Severity = Severity::Ignore,
        /// Two domains have the same site.
        aliased_site: Severity = Severity::Ignore,
        /// Do not fetch data from URLs.
        skip_remote: bool = false,
        /// A URL cannot be fetched.
        remote_load: Severity = Severity::Warn,
        /// A file cannot be read.
        local_load: Severity = Severity::Error,
        /// Deadline of a fetch (duration).
        http_timeout: std::time::Duration = std::time::Duration::from_secs(5),
    }
}

/// What loading found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Things that are wrong.
    pub errors: Vec<String>,
    /// Things that may be.
    pub warnings: Vec<String>,
}

impl Findings {
    /// Notes something at the severity the policy chose.
    pub fn note(&mut self, severity: Severity, text: String) {
        match severity {
            Severity::Ignore => {}
            Severity::Warn => self.warnings.push(text),
            Severity::Error => self.errors.push(text),
        }
    }
}

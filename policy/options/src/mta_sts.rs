//! MTA-STS policies (RFC 8461): what a domain says about the hosts that take its mail.

use aws_lc_rs::digest::{digest, SHA256};

use crate::limits::MAX_STS_HOSTS;

/// What a sender does with mail for a host that does not meet the policy (section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsMode {
    /// It is not delivered there.
    Enforce,
    /// It is delivered all the same; the domain is trying its policy out.
    Testing,
    /// There is no policy any more.
    None,
}

/// A domain's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    /// What it asks for.
    pub mode: StsMode,
    /// Names of its hosts, in lower case; `*.` stands for one label.
    pub hosts: Vec<String>,
    /// Seconds it may be kept.
    pub max_age_secs: u64,
}

/// A year: the longest a policy is kept (section 3.2).
const MAX_AGE_SECS: u64 = 31_557_600;

impl StsPolicy {
    /// Reads the text at `/.well-known/mta-sts.txt` (section 3.2). Fields it does not know are left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<StsPolicy, String> {
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut hosts = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                return Err(format!("no field: {}", line.escape_debug()));
            };
            let value = value.trim();
            match name.trim() {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" if hosts.len() < MAX_STS_HOSTS => hosts.push(host(value)?),
                "mx" => return Err("too many mx fields".into()),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("version is not STSv1".into());
        }
        let mode = match mode.ok_or("no mode")? {
            "enforce" => StsMode::Enforce,
            "testing" => StsMode::Testing,
            "none" => StsMode::None,
            other => return Err(format!("unknown mode: {}", other.escape_debug())),
        };
        if hosts.is_empty() && mode != StsMode::None {
            return Err("no mx".into());
        }
        let max_age = max_age.ok_or("no max_age")?;
        let max_age: u64 = max_age.parse().map_err(|_| "max_age is no number of seconds")?;
        Ok(StsPolicy { mode, hosts, max_age_secs: max_age.min(MAX_AGE_SECS) })
    }

    /// The text it is read from, with nothing left in it that it does not go by.
    pub fn to_text(&self) -> String {
        let mode = match self.mode {
            StsMode::Enforce => "enforce",
            StsMode::Testing => "testing",
            StsMode::None => "none",
        };
        let hosts: String = self.hosts.iter().map(|host| format!("mx: {host}\n")).collect();
        format!("version: STSv1\nmode: {mode}\n{hosts}max_age: {}\n", self.max_age_secs)
    }

    /// A short text that is the same for policies that demand the same.
    pub fn digest(&self) -> String {
        let mut hosts: Vec<&[u8]> = self.hosts.iter().map(|host| host.as_bytes()).collect();
        hosts.sort_unstable();
        let digest = digest(&SHA256, &hosts.join(&b','));
        digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `host` is one of the policy's (section 4.1).
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => host == *pattern,
        })
    }
}

fn host(value: &str) -> Result<String, String> {
    let name = value.trim_end_matches('.').to_ascii_lowercase();
    let plain = name.strip_prefix("*.").unwrap_or(&name);
    let label =
        |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match plain.len() <= 253 && plain.split('.').all(label) {
        true => Ok(name),
        false => Err(format!("mx is no host: {}", value.escape_debug())),
    }
}

/// The id of the policy in force, from the TXT records at `_mta-sts.<domain>`; `None` when there is none, or
/// more than one (section 3.1).
pub fn record_id(texts: &[String]) -> Option<&str> {
    let mut records = texts.iter().filter(|t| t.starts_with("v=STSv1;"));
    let (Some(record), None) = (records.next(), records.next()) else { return None };
    let mut fields = record.split(';').filter_map(|f| f.split_once('='));
    let id = fields.find(|(name, _)| name.trim() == "id").map(|(_, id)| id.trim())?;
    let good = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let text = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\nmax_age: 604800\n";
        let policy = StsPolicy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age_secs), (StsMode::Enforce, 604_800));
        for (name, wanted) in [
            ("mail.example.com", true),
            ("MAIL.example.com.", true),
            ("x.example.net", true),
            ("a.x.example.net", false),
            ("example.net", false),
            ("other.example.com", false),
        ] {
            assert_eq!(policy.names(name), wanted, "{name}");
        }
        assert_eq!(policy.to_text(), text);
        assert_eq!(StsPolicy::parse(&text.replace('\n', "\r\n")), Ok(policy));
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("", "version"),
            ("version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"),
            ("version: STSv1\nmode: x\nmx: a.test\nmax_age: 1\n", "mode"),
            ("version: STSv1\nmode: enforce\nmx: a.test\n", "max_age"),
            ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", "max_age"),
            ("version: STSv1\nmode: enforce\nmx: a..test\nmax_age: 1\n", "no host"),
            ("<html>", "no field"),
            (&format!("version: STSv1\n{}", "mx: a.test\n".repeat(MAX_STS_HOSTS + 1)), "too many"),
        ] {
            let error = StsPolicy::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let none = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 60\n").unwrap();
        assert_eq!(none.mode, StsMode::None);
    }

    #[test]
    fn records() {
        let id = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
            record_id(&texts).map(str::to_owned)
        };
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(id(&["other", "v=STSv1;id=1"]).as_deref(), Some("1"));
        assert_eq!(id(&["v=STSv1; id=1;", "v=STSv1; id=2;"]), None);
        assert_eq!(id(&["v=STSv1; id=a b;"]), None);
        assert_eq!(id(&["v=STSv1; id=;"]), None);
        assert_eq!(id(&["v=STSv1;"]), None);
        assert_eq!(id(&[]), None);
    }
}

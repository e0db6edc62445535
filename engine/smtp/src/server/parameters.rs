//! Parameters of MAIL and RCPT (RFC 5321 section 4.1.2): those of SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! AUTH (RFC 4954) and DSN (RFC 3461). What is unknown is refused (section 4.1.1.11): a promise that nobody keeps is worse
//! than none.

use crate::reply::Refusal;
use crate::server::dot_reader::DataFault;
use serde_json::{Map, Value};

/// Longest ENVID and ORCPT, as RFC 3461 has them.
const ENVID_BYTES: usize = 100;
const ORCPT_BYTES: usize = 500;

/// What MAIL asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Bytes the client is about to send; 0 when it does not say.
    pub size: usize,
    /// The message may have UTF-8 in addresses and header fields.
    pub smtputf8: bool,
    /// How much of the message a report is to hold.
    pub ret: Option<String>,
    /// The sender's name for the transaction.
    pub envid: Option<String>,
}

/// What RCPT asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// When reports are wanted.
    pub notify: Option<String>,
    /// The recipient as its sender named it.
    pub orcpt: Option<String>,
}

impl RcptParameters {
    /// As metadata; `None` when nothing was asked for.
    pub fn to_json(&self) -> Option<Value> {
        if self.notify.is_none() && self.orcpt.is_none() {
            return None;
        }
        let members = [("notify", &self.notify), ("orcpt", &self.orcpt)];
        let members = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_string(), Value::from(value.clone()?))));
        let object: Map<String, Value> = members.collect();
        Some(Value::Object(object))
    }
}

/// Reads the parameters of MAIL. `auth`: the session offers AUTH.
///
/// # Errors
/// Which reply refuses them.
pub fn mail(text: &str, size_max: usize, auth: bool) -> Result<MailParameters, Refusal> {
    let mut found = MailParameters::default();
    each(text, |name, value| {
        match (name, value) {
            ("SIZE", Some(value)) => {
                let digits = value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
                let size = value.parse().ok().filter(|_| digits).ok_or(Refusal::BadParameter)?;
                if size > size_max {
                    return Err(Refusal::Data(DataFault::TooLarge));
                }
                found.size = size;
            }
            ("BODY", Some(value)) if is_one_of(value, &["7BIT", "8BITMIME"]) => {}
            ("SMTPUTF8", None) => found.smtputf8 = true,
            // Who submitted it first: not believed, not passed on, as section 5 lets a server do.
            ("AUTH", Some(value)) if auth && is_xtext(value) => {}
            ("RET", Some(value)) if is_one_of(value, &["FULL", "HDRS"]) => {
                found.ret = Some(value.to_ascii_uppercase());
            }
            ("ENVID", Some(value)) if is_xtext(value) && value.len() <= ENVID_BYTES => {
                found.envid = Some(value.to_string());
            }
            ("AUTH", _) if !auth => return Err(Refusal::UnknownParameter),
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH" | "RET" | "ENVID", _) => {
                return Err(Refusal::BadParameter)
            }
            _ => return Err(Refusal::UnknownParameter),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads the parameters of RCPT.
///
/// # Errors
/// Which reply refuses them.
pub fn rcpt(text: &str) -> Result<RcptParameters, Refusal> {
    let mut found = RcptParameters::default();
    each(text, |name, value| {
        match (name, value) {
            ("NOTIFY", Some(value)) if is_notify(value) => {
                found.notify = Some(value.to_ascii_uppercase());
            }
            ("ORCPT", Some(value)) if is_orcpt(value) => found.orcpt = Some(value.to_string()),
            ("NOTIFY" | "ORCPT", _) => return Err(Refusal::BadParameter),
            _ => return Err(Refusal::UnknownParameter),
        }
        Ok(())
    })?;
    Ok(found)
}

fn each(
    text: &str,
    mut take: impl FnMut(&str, Option<&str>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut seen: Vec<String> = Vec::new();
    for parameter in text.split_ascii_whitespace() {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let name = name.to_ascii_uppercase();
        let keyword = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let well_formed = value.is_none_or(|value| {
            !value.is_empty() && value.bytes().all(|b| b > b' ' && b != b'=' && b != 0x7f)
        });
        // ORCPT and ENVID may hold an equals sign only as xtext.
        if !keyword || !well_formed || seen.contains(&name) {
            return Err(Refusal::BadParameter);
        }
        take(&name, value)?;
        seen.push(name);
    }
    Ok(())
}

fn is_one_of(value: &str, known: &[&str]) -> bool {
    known.iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// xtext (RFC 3461 section 4).
fn is_xtext(value: &str) -> bool {
    let bytes = value.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let upper_hex = |at: usize| {
            bytes.get(at).is_some_and(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b))
        };
        match byte {
            b'+' if upper_hex(at + 1) && upper_hex(at + 2) => at += 3,
            b'+' | b'=' => return false,
            byte if byte.is_ascii_graphic() => at += 1,
            _ => return false,
        }
    }
    !bytes.is_empty()
}

fn is_notify(value: &str) -> bool {
    value.eq_ignore_ascii_case("NEVER")
        || value.split(',').all(|one| is_one_of(one, &["SUCCESS", "FAILURE", "DELAY"]))
}

/// `addr-type;xtext`, of which an `utf-8` one may hold UTF-8 (RFC 6533 section 3).
fn is_orcpt(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let utf8 = kind.eq_ignore_ascii_case("utf-8") && !address.is_empty();
    value.len() <= ORCPT_BYTES
        && !kind.is_empty()
        && kind.bytes().all(atom)
        && (utf8 || is_xtext(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_mail() {
        let all = mail("size=10 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=a+3Db AUTH=<>", 100, true);
        let want = MailParameters {
            size: 10,
            smtputf8: true,
            ret: Some("HDRS".into()),
            envid: Some("a+3Db".into()),
        };
        assert_eq!(all, Ok(want));
        let of = |text| mail(text, 100, false).map(drop);
        assert_eq!(of("SIZE=101"), Err(Refusal::Data(DataFault::TooLarge)));
        for malformed in [
            "SIZE",
            "SIZE=",
            "SIZE=x",
            "SIZE=+1",
            "SIZE=1 SIZE=1",
            "SIZE=1 size=1",
            "BODY=BINARYMIME",
            "BODY",
            "SMTPUTF8=1",
            "RET=ALL",
            "RET",
            "ENVID=",
            "ENVID=a+zz",
            "ENVID=a=b",
            "=x",
            "A=",
            "-A=1",
            "A_B=1",
            "SIZE=1=2",
        ] {
            assert_eq!(of(malformed), Err(Refusal::BadParameter), "{malformed}");
        }
        for unknown in
            ["FOO=BAR", "FOO", "REQUIRETLS", "HOLDFOR=100", "BY=1;R", "NOTIFY=NEVER", "AUTH=<>"]
        {
            assert_eq!(of(unknown), Err(Refusal::UnknownParameter), "{unknown}");
        }
        assert!(of(&format!("ENVID={}", "x".repeat(101))).is_err());
    }

    #[test]
    fn of_rcpt() {
        let both = rcpt("NOTIFY=success,DELAY ORCPT=rfc822;u+40d.test").unwrap();
        assert_eq!(both.notify.as_deref(), Some("SUCCESS,DELAY"));
        assert_eq!(both.orcpt.as_deref(), Some("rfc822;u+40d.test"));
        assert_eq!(rcpt("").unwrap().to_json(), None);
        for malformed in [
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=",
            "NOTIFY=SOON",
            "ORCPT=u",
            "ORCPT=rfc822;",
            "ORCPT=;u",
            "NOTIFY=NEVER NOTIFY=NEVER",
        ] {
            assert_eq!(rcpt(malformed), Err(Refusal::BadParameter), "{malformed}");
        }
        for unknown in ["FOO", "SIZE=1", "RRVS=2014-04-03T23:01:00Z"] {
            assert_eq!(rcpt(unknown), Err(Refusal::UnknownParameter), "{unknown}");
        }
    }
}

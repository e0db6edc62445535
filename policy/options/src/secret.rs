//! Options that hold secrets. They have no text form but the redacted one: nothing that prints or shows options can
//! give them away, and whoever needs the secret says so by reaching into it.

use std::fmt;

use ringmta_mail::redact;

use crate::plain::Plain;
use crate::table::Notes;
use crate::value::OptionValue;

/// A password, a key, a token, the value of a request header.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact::HIDDEN)
    }
}

impl OptionValue for SecretText {
    const TYPE: &'static str = "a string";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<SecretText, String> {
        // The value itself stays out of the error.
        String::parse(v, notes)
            .map(SecretText)
            .map_err(|_| "invalid type, expected a string".into())
    }
    fn to_plain(&self) -> Plain {
        Plain::str(&self.0)
    }
    fn to_shown(&self) -> Plain {
        hidden(self.0.len())
    }
}

/// A URL that may carry a user, a password, or a key in its query.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretUrl(pub String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact::url(&self.0))
    }
}

impl OptionValue for SecretUrl {
    const TYPE: &'static str = "a URL";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<SecretUrl, String> {
        let text = v.as_str().ok_or("invalid type, expected a string")?;
        Ok(SecretUrl(text.to_owned()))
    }
    fn to_plain(&self) -> Plain {
        Plain::str(&self.0)
    }
    fn to_shown(&self) -> Plain {
        Plain::str(redact::url(&self.0))
    }
}

/// What operators see in the place of a secret: that there is one.
pub(crate) fn hidden(bytes: usize) -> Plain {
    match bytes {
        0 => Plain::str(""),
        bytes => Plain::str(format!("(hidden, {bytes} bytes)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EgressPath, HttpLogHook, KeySource, OptionTable};

    #[test]
    fn no_option_shows_its_secret() {
        let hook = HttpLogHook {
            url: SecretUrl("https://u:hunter2@h.test/x?k=hunter2".into()),
            request_headers: [("x-key".to_owned(), SecretText("hunter2".into()))].into(),
            ..HttpLogHook::default()
        };
        let vault = KeySource::Vault {
            mount: "m".into(),
            path: "p".into(),
            key: "k".into(),
            address: Some("https://u:hunter2@v.test".into()),
            token: Some(SecretText("hunter2".into())),
        };
        let event = KeySource::Event { name: "e".into(), args: vec![Plain::str("hunter2")] };
        for key in [KeySource::Data(b"hunter2".to_vec()), vault, event] {
            let path = EgressPath {
                smtp_auth_plain_password: Some(key.clone()),
                tls_private_key: Some(key),
                ..EgressPath::default()
            };
            let shown = format!("{path:?} {}", path.shown().to_json());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let shown = format!("{hook:?} {}", hook.shown().to_json());
        assert!(!shown.contains("hunter2") && shown.contains("https://h.test/x"), "{shown}");
        assert!(shown.contains("(hidden, 7 bytes)"), "{shown}");
    }
}

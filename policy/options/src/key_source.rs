//! Where a key or a password comes from.

use std::fmt;
use std::path::PathBuf;

use crate::plain::Plain;
use crate::secret::{hidden, SecretText};
use crate::suggest;
use crate::table::Notes;
use crate::value::{wrong, OptionValue};

/// The place of a secret. `Policy::load_key` fetches it; its content never shows in logs.
#[derive(Clone, PartialEq)]
pub enum KeySource {
    /// A file; a plain string means this.
    File(PathBuf),
    /// The secret itself, `{ key_data = ... }`.
    Data(Vec<u8>),
    /// An event of the policy that returns it, `{ event_name = ..., event_args = {...} }`.
    Event {
        /// Name of the event.
        name: String,
        /// Its arguments.
        args: Vec<Plain>,
    },
    /// HashiCorp Vault, KV version 2: `{ vault_mount, vault_path, ... }`.
    Vault {
        /// Mount of the KV engine.
        mount: String,
        /// Path below it.
        path: String,
        /// Field of the secret.
        key: String,
        /// Server; None = `VAULT_ADDR`.
        address: Option<String>,
        /// Token; None = `VAULT_TOKEN`.
        token: Option<SecretText>,
    },
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::File(p) => write!(f, "file {}", p.display()),
            KeySource::Data(d) => write!(f, "key data of {} bytes", d.len()),
            KeySource::Event { name, .. } => write!(f, "event {name}"),
            KeySource::Vault { mount, path, .. } => write!(f, "vault {mount}/{path}"),
        }
    }
}

const FIELDS: [&str; 8] = [
    "key_data",
    "event_name",
    "event_args",
    "vault_mount",
    "vault_path",
    "vault_address",
    "vault_token",
    "vault_key",
];

impl OptionValue for KeySource {
    const TYPE: &'static str =
        "a key source (a file name, {key_data=...}, {event_name=..., event_args={...}} or {vault_mount=..., vault_path=...})";

    fn parse(v: &Plain, notes: &mut Notes) -> Result<KeySource, String> {
        if let Plain::Str(_) = v {
            return PathBuf::parse(v, notes).map(KeySource::File);
        }
        let Plain::Map(fields) = v else { return Err(wrong::<KeySource>(v)) };
        for (k, _) in fields.iter() {
            let name = k.key_text();
            if !FIELDS.contains(&name.as_str()) {
                return Err(suggest::unknown("field", &name, FIELDS.into_iter()));
            }
        }
        let text = |key: &str| v.get(key).and_then(Plain::as_str).map(str::to_owned);
        if let Some(Plain::Str(data)) = v.get("key_data") {
            return Ok(KeySource::Data(data.to_vec()));
        }
        if let Some(name) = text("event_name") {
            let args =
                v.get("event_args").map(|a| Vec::parse(a, notes)).transpose()?.unwrap_or_default();
            return Ok(KeySource::Event { name, args });
        }
        if let Some(mount) = text("vault_mount") {
            let path = text("vault_path").ok_or("a vault key source needs `vault_path`")?;
            let key = text("vault_key").unwrap_or_else(|| "key".to_owned());
            let (address, token) = (text("vault_address"), text("vault_token").map(SecretText));
            return Ok(KeySource::Vault { mount, path, key, address, token });
        }
        Err(format!("invalid value: {}, expected {}", v.describe(), Self::TYPE))
    }

    fn to_plain(&self) -> Plain {
        match self {
            KeySource::File(p) => p.to_plain(),
            KeySource::Data(d) => Plain::map([("key_data", Plain::str(d))]),
            KeySource::Event { name, args } => Plain::map([
                ("event_name", Plain::str(name)),
                ("event_args", Plain::list(args.clone())),
            ]),
            KeySource::Vault { mount, path, key, .. } => Plain::map([
                ("vault_mount", Plain::str(mount)),
                ("vault_path", Plain::str(path)),
                ("vault_key", Plain::str(key)),
            ]),
        }
    }

    /// The place, never what is there; arguments of an event may be secrets too.
    fn to_shown(&self) -> Plain {
        match self {
            KeySource::Data(data) => Plain::map([("key_data", hidden(data.len()))]),
            KeySource::Event { name, args: _ } => Plain::map([("event_name", Plain::str(name))]),
            KeySource::File(_) | KeySource::Vault { .. } => self.to_plain(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut n = Notes::default();
        assert_eq!(KeySource::parse(&Plain::str("/k"), &mut n), Ok(KeySource::File("/k".into())));
        let data = Plain::map([("key_data", Plain::str(b"\xff\x00"))]);
        assert_eq!(KeySource::parse(&data, &mut n), Ok(KeySource::Data(vec![255, 0])));
        let event = Plain::map([
            ("event_name", Plain::str("get_key")),
            ("event_args", Plain::list(vec![Plain::Int(1)])),
        ]);
        assert_eq!(
            KeySource::parse(&event, &mut n),
            Ok(KeySource::Event { name: "get_key".into(), args: vec![Plain::Int(1)] })
        );
    }

    #[test]
    fn refusals() {
        let mut n = Notes::default();
        let vault = Plain::map([("vault_mount", Plain::str("s"))]);
        assert!(KeySource::parse(&vault, &mut n).unwrap_err().contains("vault_path"));
        let typo = Plain::map([("key_dat", Plain::str("s"))]);
        assert!(KeySource::parse(&typo, &mut n).unwrap_err().ends_with("did you mean `key_data`?"));
        assert!(KeySource::parse(&Plain::Bool(true), &mut n).is_err());
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", KeySource::Data(b"hunter2".to_vec())), "key data of 7 bytes");
    }
}

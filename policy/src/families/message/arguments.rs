//! Arguments of functions about messages.

use mlua::{Error, Result, Value};
use ringmta_mail::EnvelopeAddress;
use ringmta_options::{Notes, OptionValue};

use crate::vm::lua_value::{borrow, to_plain};

fn parse_address(text: &str) -> Result<EnvelopeAddress> {
    EnvelopeAddress::parse(text).map_err(|e| Error::runtime(format!("`{text}`: {e}")))
}

/// An address given as text or as an address object.
pub(crate) fn address_of(v: &Value) -> Result<EnvelopeAddress> {
    match v {
        Value::String(s) => parse_address(&s.to_str()?),
        Value::UserData(u) => borrow::<EnvelopeAddress>(u, "an address"),
        other => Err(Error::runtime(format!("expected an address, got a {}", other.type_name()))),
    }
}

/// A list of names given as an argument; nil is no list.
pub(crate) fn names(v: &Value) -> Result<Option<Vec<String>>> {
    match v {
        Value::Nil => Ok(None),
        v => Vec::parse(&to_plain(v)?, &mut Notes::default()).map(Some).map_err(Error::runtime),
    }
}

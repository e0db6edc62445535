//! Methods of the message object.

use mlua::{Error, IntoLua, Result, UserDataFields, UserDataMethods, UserDataRegistry, Value};
use ringmta_mail::address::EnvelopeAddress;
use ringmta_mail::headers::{encode_quoted, fold, valid_name, write_as_is, HeaderBlock};
use ringmta_mail::message::Message;
use ringmta_mail::schedule::Scheduling;

use super::address_header::AddressHeader;
use super::arguments::address_of;
use super::body::{body_getter, body_method};
use super::{conformance, import};
use crate::families::{auth, dkim, mime};
use crate::vm::lua_value::{from_json, to_json, JsonResult, Object};

/// Registers the methods of a message.
pub(crate) fn register(r: &mut UserDataRegistry<Message>) {
    content(r);
    headers(r);
    import::methods(r);
    conformance::methods(r);
    dkim::lua::methods(r);
    mime::lua::methods(r);
    auth::lua::methods(r);
    auth::lua::async_methods(r);
    envelope(r);
    schedule(r);
    r.add_method("get_meta", |_, m, key: mlua::String| {
        let key = key.to_str()?;
        Ok(JsonResult(m.get_meta(&key)))
    });
    r.add_method("set_meta", |_, m, (key, value): (String, Value)| {
        m.set_meta(key, to_json(&value)?);
        Ok(())
    });
    r.add_method("set_data", |_, m, data: mlua::String| {
        m.set_body(std::rc::Rc::new(data.as_bytes().to_vec()));
        Ok(())
    });
    // Durability is the rule here, and bodies leave memory by the engine's budget: nothing to do.
    for name in ["save", "shrink", "shrink_data"] {
        r.add_method(name, |_, _, ()| Ok(()));
    }
    r.add_method("set_force_sync", |_, _, _: bool| Ok(()));
}

fn envelope<M: UserDataMethods<Message>>(methods: &mut M) {
    methods.add_method("id", |lua, m, ()| lua.create_string(m.id().to_string()));
    methods.add_method("sender", |_, m, ()| Ok(Object(m.sender())));
    methods.add_method("recipient", |lua, m, ()| {
        let list = m.recipients();
        match &list[..] {
            [one] => Object(one.clone()).into_lua(lua),
            _ => Object::all(list).into_lua(lua),
        }
    });
    methods.add_method("recipient_list", |_, m, ()| Ok(Object::all(m.recipients())));
    methods.add_method("set_sender", |_, m, v: Value| {
        m.set_sender(address_of(&v)?);
        Ok(())
    });
    methods.add_method("set_recipient", |_, m, v: Value| {
        let list = match &v {
            Value::Table(t) => {
                t.sequence_values::<Value>().map(|v| address_of(&v?)).collect::<Result<Vec<_>>>()?
            }
            one => vec![address_of(one)?],
        };
        if list.is_empty() || list.iter().any(EnvelopeAddress::is_null) {
            return Err(Error::runtime(
                "set_recipient: at least one address is needed, and none may be empty",
            ));
        }
        m.set_recipients(list);
        Ok(())
    });
    methods.add_method("queue_name", |_, m, ()| Ok(m.queue_name().to_string()));
}

fn schedule<M: UserDataMethods<Message>>(methods: &mut M) {
    methods.add_method("num_attempts", |_, m, ()| Ok(m.num_attempts()));
    methods.add_method("increment_num_attempts", |_, m, ()| {
        m.set_num_attempts(m.num_attempts().saturating_add(1));
        Ok(())
    });
    methods.add_method("set_scheduling", |lua, m, v: Value| {
        if v.is_nil() {
            if m.scheduling().is_some_and(|s| s.first_attempt == m.due()) {
                m.set_due(None);
            }
            m.set_scheduling(None);
            return Ok(Value::Nil);
        }
        let s = Scheduling::from_json(&to_json(&v)?)
            .map_err(|e| Error::runtime(format!("set_scheduling: {e}")))?;
        let table = from_json(lua, &s.to_json())?;
        apply_schedule(m, s);
        Ok(table)
    });
    methods.add_method("set_due", |_, m, v: Value| {
        m.set_due(due_millis(&v)?);
        Ok(())
    });
}

/// Sets a schedule; its first attempt also becomes the due time.
fn apply_schedule(m: &Message, s: Scheduling) {
    if s.first_attempt.is_some() {
        m.set_due(s.first_attempt);
    }
    m.set_scheduling(Some(s));
}

/// A due time as Unix seconds, RFC 3339 text or a time object.
fn due_millis(v: &Value) -> Result<Option<u64>> {
    let seconds = match v {
        Value::Nil => return Ok(None),
        Value::Integer(i) => *i as f64,
        Value::Number(n) => *n,
        Value::String(s) => {
            let nanos = ringmta_mail::time::parse_rfc3339(&s.to_str()?)
                .ok_or_else(|| Error::runtime("set_due: not an RFC 3339 time"))?;
            return Ok(Some(nanos / 1_000_000));
        }
        Value::UserData(u) => crate::families::time::unix_seconds(u)?,
        other => {
            return Err(Error::runtime(format!(
                "set_due: expected a time, got a {}",
                other.type_name()
            )))
        }
    };
    if !(0.0..=1e12).contains(&seconds) {
        return Err(Error::runtime("set_due: the time is out of range"));
    }
    Ok(Some((seconds * 1000.0) as u64))
}

fn content<F: UserDataFields<Message>>(fields: &mut F) {
    body_getter(fields, "get_data", |lua, _, body, ()| lua.create_string(body));
    body_getter(fields, "from_header", |_, _, body, ()| AddressHeader::find(body, "From"));
    body_getter(fields, "to_header", |_, _, body, ()| AddressHeader::find(body, "To"));
    body_getter(fields, "get_address_header", |_, _, body, name: String| {
        AddressHeader::find(body, &name)
    });
}

fn header_name(name: &str) -> Result<&str> {
    if valid_name(name) {
        return Ok(name);
    }
    Err(Error::runtime(format!("`{name}` is not a header name")))
}

/// The field to write: its value as it is, unless it is to be encoded and folded.
fn written(name: &str, value: &mlua::String, encode: Option<bool>) -> Result<Vec<u8>> {
    /// Where lines are folded, and the longest word that is not cut.
    const WIDTHS: (usize, usize) = (75, 900);
    let name = header_name(name)?;
    match encode {
        Some(true) => {
            let text = encode_quoted(&value.to_str()?).into_owned();
            Ok(write_as_is(name, fold(&text, WIDTHS.0, WIDTHS.1).as_bytes()))
        }
        _ => Ok(write_as_is(name, &value.as_bytes())),
    }
}

fn headers<F: UserDataFields<Message>>(fields: &mut F) {
    body_getter(fields, "get_first_named_header_value", |lua, _, body, name: mlua::String| {
        let name = name.to_str()?;
        HeaderBlock::new(body)
            .first(&name)
            .map(|f| lua.create_string(f.decoded_bytes()))
            .transpose()
    });
    body_getter(fields, "get_all_named_header_values", |lua, _, body, name: String| {
        let values = HeaderBlock::new(body).named(&name);
        values.map(|f| lua.create_string(f.decoded_bytes())).collect::<Result<Vec<_>>>()
    });
    body_getter(fields, "get_all_headers", |lua, _, body, ()| {
        let pair = |f: ringmta_mail::headers::Field| {
            Ok(vec![lua.create_string(f.name)?, lua.create_string(f.decoded_bytes())?])
        };
        HeaderBlock::new(body).fields().map(pair).collect::<Result<Vec<_>>>()
    });
    body_method(
        fields,
        "prepend_header",
        |_, m, body, (name, value, encode): (String, mlua::String, Option<bool>)| {
            let out = HeaderBlock::new(body).prepend_field(&written(&name, &value, encode)?);
            m.set_body(out.into());
            Ok(())
        },
    );
    body_method(
        fields,
        "append_header",
        |_, m, body, (name, value, encode): (String, mlua::String, Option<bool>)| {
            let out = HeaderBlock::new(body).append_field(&written(&name, &value, encode)?);
            m.set_body(out.into());
            Ok(())
        },
    );
    body_method(fields, "remove_all_named_headers", |_, m, body, name: String| {
        if let Some(out) = HeaderBlock::new(body).without_named(&name) {
            m.set_body(out.into());
        }
        Ok(())
    });
    body_method(
        fields,
        "import_scheduling_header",
        |_, m, body, (name, remove): (String, Option<bool>)| {
            let block = HeaderBlock::new(body);
            let Some(field) = block.first(&name) else { return Ok(()) };
            let bad = |e: String| Error::runtime(format!("import_scheduling_header: {name}: {e}"));
            let json = serde_json::from_str(&field.decoded()).map_err(|e| bad(e.to_string()))?;
            apply_schedule(m, Scheduling::from_json(&json).map_err(bad)?);
            if remove == Some(true) {
                if let Some(out) = block.without_named(&name) {
                    m.set_body(out.into());
                }
            }
            Ok(())
        },
    );
}

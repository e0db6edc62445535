//! Configuration objects as texts, and the trace header added by hand.

use data_encoding::BASE64;
use mlua::{Error, Lua, Result, Table, UserDataRef, Value};
use ringmta_mail::headers::{fold, write_as_is, HeaderBlock};
use ringmta_mail::message::Message;
use ringmta_options::plain::Plain;
use ringmta_options::Ceilings;
use ringmta_options::{EgressPath, Notes, OptionTable, OptionValue, QueueConfig, TraceHeaders};

use crate::families::message::body::ensure_body;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_json, to_json, to_plain};
use crate::vm::option_objects::OptionObject;
use crate::vm::read_options::options;

fn without_nulls(v: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match v {
        Json::Object(m) => Json::Object(
            m.into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, without_nulls(v)))
                .collect(),
        ),
        Json::Array(a) => Json::Array(a.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// The options of an object, or of a table that could be one, as TOML.
fn toml_of<T: OptionTable>(lua: &Lua, v: &Value) -> Result<String> {
    let plain = match to_plain(v)? {
        Plain::Object(o) => o.fields().unwrap_or_default(),
        other => options::<T>(&*crate::vm::ctx(lua)?, &other)?.fields(),
    };
    toml::to_string(&without_nulls(plain.to_json()))
        .map_err(|e| Error::runtime(format!("as TOML: {e}")))
}

/// The options of an object, or of a table that could be one.
fn typed<T: OptionTable>(lua: &Lua, v: &Value) -> Result<T> {
    if let Value::UserData(u) = v {
        if let Ok(object) = u.borrow::<OptionObject>() {
            return object.typed::<T>().cloned().ok_or_else(|| {
                Error::runtime(format!(
                    "invalid type: an object of {}, expected one of {}",
                    object.0.kind(),
                    T::CALL
                ))
            });
        }
    }
    options(&*crate::vm::ctx(lua)?, &to_plain(v)?)
}

fn ceilings(v: &Value, call: &str) -> Result<Ceilings> {
    Ceilings::from_json(&to_json(v)?).map_err(|e| Error::runtime(format!("kumo.{call}: {e}")))
}

fn register_ceilings(lua: &Lua, kumo: &Table) -> Result<()> {
    def(
        lua,
        kumo,
        "compute_egress_path_config_constraints",
        |lua, (path, more): (Value, Value)| {
            let path: EgressPath = typed(lua, &path)?;
            let found = match more {
                Value::Nil => Ceilings::of_path(&path),
                more => {
                    let more = ceilings(&more, "compute_egress_path_config_constraints")?;
                    Ceilings::of_path_within(&path, more)
                }
            };
            table_of(lua, &found)
        },
    )?;
    def(lua, kumo, "compute_queue_config_constraints", |lua, v: Value| {
        table_of(lua, &Ceilings::of_queue(&typed(lua, &v)?))
    })?;
    def(lua, kumo, "format_egress_path_config_constraints", |_, v: Value| {
        Ok(ceilings(&v, "format_egress_path_config_constraints")?.text())
    })
}

/// What does not limit is absent from the table.
fn table_of(lua: &Lua, found: &Ceilings) -> Result<Value> {
    from_json(lua, &without_nulls(found.to_json()))
}

/// Characters of a line of the trace header's value; readers drop the white space between lines.
const TRACE_WIDTH: usize = 75;

/// `X-KumoRef`: base64 of JSON with a marker key, the recipients and the metadata asked for.
fn trace_value(m: &Message, options: &TraceHeaders) -> String {
    let mut out = serde_json::Map::new();
    out.insert("_@_".into(), "\\_/".into());
    for name in &options.include_meta_names {
        // What a message does not have is told as null: who reads it sees that it was asked for.
        out.insert(name.clone(), m.get_meta(name).unwrap_or(serde_json::Value::Null));
    }
    let all: Vec<String> = m.recipients().iter().map(|r| r.email().to_owned()).collect();
    let recipient = match &all[..] {
        [one] => one.as_str().into(),
        many => many.into(),
    };
    out.insert("recipient".into(), recipient);
    let text = BASE64.encode(serde_json::Value::Object(out).to_string().as_bytes());
    fold(&text, TRACE_WIDTH, TRACE_WIDTH)
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.compute_egress_path_config_constraints",
        "path: any, other?: table",
        "table",
        "What a path allows at most, within other constraints.",
    ),
    FnDef::new(
        "kumo.compute_queue_config_constraints",
        "queue: any",
        "table",
        "What a queue lets out at most.",
    ),
    FnDef::new(
        "kumo.format_egress_path_config_constraints",
        "constraints: table",
        "string",
        "Constraints as text.",
    ),
    FnDef::new(
        "kumo.format_{egress_path,queue}_config_toml",
        "config: any",
        "string",
        "The options as TOML.",
    ),
    FnDef::new(
        "kumo.apply_supplemental_trace_header",
        "msg: any, options?: kumo.TraceHeaderOptions",
        "",
        "Adds the header by which reports find their message.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    register_ceilings(lua, kumo)?;
    def(lua, kumo, "format_egress_path_config_toml", |lua, v: Value| {
        toml_of::<EgressPath>(lua, &v)
    })?;
    def(lua, kumo, "format_queue_config_toml", |lua, v: Value| toml_of::<QueueConfig>(lua, &v))?;
    type Args = (UserDataRef<Message>, Value);
    let f = lua.create_async_function(|lua, (m, params): Args| async move {
        let m = m.clone();
        ensure_body(&lua, &m).await?;
        let options = match &params {
            Value::Nil => TraceHeaders::default(),
            v => <TraceHeaders as OptionValue>::parse(&to_plain(v)?, &mut Notes::default())
                .map_err(|e| {
                    Error::runtime(format!("kumo.apply_supplemental_trace_header: {e}"))
                })?,
        };
        if options.supplemental_header {
            let body = m.body().unwrap_or_default();
            let value = trace_value(&m, &options);
            let field = write_as_is(&options.header_name, value.as_bytes());
            m.set_body(HeaderBlock::new(&body).prepend_field(&field).into());
        }
        Ok(())
    })?;
    kumo.set("apply_supplemental_trace_header", f)
}

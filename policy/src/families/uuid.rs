//! `kumo.uuid`.

use mlua::{Error, Lua, MetaMethod, Result, Table, UserData, UserDataFields, UserDataMethods};
use uuid::{NoContext, Timestamp, Uuid};

use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;

struct UuidObject(Uuid);

/// A random one, for names that must not meet again.
pub(super) fn text() -> String {
    Uuid::new_v4().simple().to_string()
}

impl UserData for UuidObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("hyphenated", |_, u| Ok(u.0.hyphenated().to_string()));
        fields.add_field_method_get("simple", |_, u| Ok(u.0.simple().to_string()));
        fields.add_field_method_get("braced", |_, u| Ok(u.0.braced().to_string()));
        fields.add_field_method_get("urn", |_, u| Ok(u.0.urn().to_string()));
        fields.add_field_method_get("bytes", |lua, u| lua.create_string(u.0.as_bytes()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, u, ()| Ok(u.0.to_string()));
    }
}

/// Version 1: the ids of messages, made by the engine, which knows of no two that are alike.
fn v1(lua: &Lua) -> Result<Uuid> {
    Ok(Uuid::from_bytes(vm::ctx(lua)?.host.new_message_id().0))
}

/// RFC 9562, section 5.6: the fields of version 1, the time with its high bits first.
fn v6(v1: Uuid) -> Result<Uuid> {
    let parts = v1.get_timestamp().zip(v1.get_node_id());
    let (time, node) = parts.ok_or_else(|| Error::runtime("an id without a time"))?;
    Ok(Uuid::new_v6(time, &node))
}

/// RFC 9562, section 5.7: 48 bits of Unix milliseconds, then randomness.
fn v7(now_nanos: u64) -> Uuid {
    let (seconds, nanos) = (now_nanos / 1_000_000_000, (now_nanos % 1_000_000_000) as u32);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.uuid.{new_v1,new_v4,new_v6,new_v7}", "", "any", "A fresh id."),
    FnDef::new("kumo.uuid.parse", "text: string", "any", "An id given as text."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "parse", |_, s: String| {
        let parsed = Uuid::try_parse(&s);
        parsed.map(UuidObject).map_err(|_| Error::runtime(format!("`{s}` is not a UUID")))
    })?;
    def(lua, &t, "new_v1", |lua, ()| Ok(UuidObject(v1(lua)?)))?;
    def(lua, &t, "new_v6", |lua, ()| Ok(UuidObject(v6(v1(lua)?)?)))?;
    def(lua, &t, "new_v4", |_, ()| Ok(UuidObject(Uuid::new_v4())))?;
    def(lua, &t, "new_v7", |lua, ()| Ok(UuidObject(v7(vm::ctx(lua)?.host.now_unix_nanos()))))?;
    kumo.set("uuid", t)
}

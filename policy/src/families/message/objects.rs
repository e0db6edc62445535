//! The objects handlers receive: their types are those of mail, so their methods are registered in each VM.

use mlua::{IntoLua, Lua, MetaMethod, Result, UserDataFields, UserDataMethods, UserDataRegistry};
use mlua::{UserDataRef, Value};
use ringmta_mail::address::EnvelopeAddress;
use ringmta_mail::conn_meta::{AuthInfo, ConnMeta};
use ringmta_options::plain::Plain;

use crate::vm::lua_value::{display, from_plain, to_json, JsonResult};

/// Registers the types in a VM.
pub(crate) fn register(lua: &Lua) -> Result<()> {
    lua.register_userdata_type(super::lua::register)?;
    lua.register_userdata_type(address)?;
    lua.register_userdata_type(connection)
}

fn address(r: &mut UserDataRegistry<EnvelopeAddress>) {
    r.add_field_method_get("user", |lua, a| lua.create_string(unquoted(a.user()).as_ref()));
    r.add_field_method_get("domain", |lua, a| lua.create_string(a.domain()));
    r.add_field_method_get("email", |lua, a| lua.create_string(a.email()));
    r.add_meta_method(MetaMethod::ToString, |lua, a, ()| lua.create_string(a.email()));
    r.add_meta_method(MetaMethod::Eq, |_, a, b: UserDataRef<EnvelopeAddress>| Ok(*a == *b));
    r.add_meta_method(MetaMethod::Concat, |_, a, b: Value| Ok(format!("{a}{}", display(&b))));
}

/// A local part without the quotes it may be written in (RFC 5321 section 4.1.2).
fn unquoted(user: &str) -> std::borrow::Cow<'_, str> {
    let inner = user.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return user.into() };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out.into()
}

fn connection(r: &mut UserDataRegistry<ConnMeta>) {
    r.add_method("get_meta", |_, c, key: mlua::String| {
        let key = key.to_str()?;
        Ok(JsonResult(c.get(&key)))
    });
    r.add_method("set_meta", |_, c, (key, value): (String, Value)| {
        c.set(key, to_json(&value)?);
        Ok(())
    });
    r.add_method("auth_info", |_, c, ()| Ok(Auth(c.auth_info())));
}

/// Who a peer is, as a table.
pub(crate) struct Auth(pub AuthInfo);

impl Auth {
    /// Reads `{identities, groups}`; identities are names or `{identity=...}` tables.
    pub fn from_plain(p: &Plain) -> std::result::Result<AuthInfo, String> {
        let names = |key: &str| -> std::result::Result<Vec<String>, String> {
            let Some(Plain::List(items)) = p.get(key) else { return Ok(Vec::new()) };
            let name = |i: &Plain| {
                i.as_str().or_else(|| i.get("identity").and_then(Plain::as_str)).map(str::to_owned)
            };
            items
                .iter()
                .map(|i| name(i).ok_or_else(|| format!("`{key}` must be a list of names")))
                .collect()
        };
        match p {
            Plain::Map(_) => Ok(AuthInfo {
                identities: names("identities")?,
                groups: names("groups")?,
                peer_address: p.get("peer_address").and_then(Plain::as_str).and_then(|a| a.parse().ok()),
            }),
            other => Err(format!("the handler returned a {}, expected a boolean or {{identities={{...}}, groups={{...}}}}", other.describe())),
        }
    }

    fn to_plain(&self) -> Plain {
        let list = |names: &[String]| Plain::list(names.iter().map(Plain::str).collect());
        let mut fields =
            vec![("identities", list(&self.0.identities)), ("groups", list(&self.0.groups))];
        if let Some(a) = self.0.peer_address {
            fields.push(("peer_address", Plain::str(a.to_string())));
        }
        Plain::map(fields)
    }
}

impl IntoLua for Auth {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        from_plain(lua, &self.to_plain())
    }
}

//! Methods of the objects handlers receive.

use mlua::{MetaMethod, UserData, UserDataFields, UserDataMethods, Value};

use crate::address::EnvelopeAddress;
use crate::conn_meta::ConnMeta;
use crate::lua_value::{to_json, JsonResult};

impl UserData for EnvelopeAddress {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("user", |lua, a| lua.create_string(a.user()));
        fields.add_field_method_get("domain", |lua, a| lua.create_string(a.domain()));
        fields.add_field_method_get("email", |lua, a| lua.create_string(a.email()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |lua, a, ()| lua.create_string(a.email()));
        methods.add_meta_method(MetaMethod::Eq, |_, a, b: mlua::UserDataRef<EnvelopeAddress>| {
            Ok(*a == *b)
        });
        methods.add_meta_method(MetaMethod::Concat, |_, a, b: Value| {
            Ok(format!("{a}{}", crate::lua_value::display(&b)))
        });
    }
}

impl UserData for ConnMeta {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get_meta", |_, c, key: mlua::String| {
            let key = key.to_str()?;
            Ok(JsonResult(c.get(&key)))
        });
        methods.add_method("set_meta", |_, c, (key, value): (String, Value)| {
            c.set(key, to_json(&value)?);
            Ok(())
        });
        methods.add_method("auth_info", |_, c, ()| Ok(c.auth_info()));
    }
}

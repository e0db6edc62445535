//! Objects handed to a policy that stay plain data underneath.

use std::any::Any;
use std::sync::Arc;

use mlua::{IntoLua, Lua, MetaMethod, Result, UserData, UserDataMethods, Value};
use ringmta_options::plain::{Plain, Portable};
use ringmta_options::{MadeAt, OptionTable};

use crate::vm::lua_value::{from_plain, LuaObject};

/// The result of a `make_*` function: the typed options, and all of them as a table.
pub(crate) struct Made<T> {
    pub typed: T,
    fields: Plain,
    /// Where the call stands.
    pub at: Arc<MadeAt>,
}

impl<T: OptionTable> Made<T> {
    pub fn new(typed: T, at: MadeAt) -> Made<T> {
        Made { fields: typed.fields(), typed, at: Arc::new(at) }
    }
}

impl<T: OptionTable> LuaObject for Made<T> {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        OptionObject(self).into_lua(lua)
    }
}

impl<T: OptionTable> Portable for Made<T> {
    fn for_host(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(self as Arc<dyn LuaObject>)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        T::CALL
    }
    fn fields(&self) -> Option<Plain> {
        Some(self.fields.clone())
    }
}

/// The Lua side of [`Made`]: can be indexed and walked with `pairs`.
#[derive(Clone)]
pub(crate) struct OptionObject(pub Arc<dyn Portable>);

impl OptionObject {
    /// The typed options, when the object is of that kind.
    pub fn typed<T: OptionTable>(&self) -> Option<&T> {
        self.made::<T>().map(|m| &m.typed)
    }

    /// The same with where they were made.
    pub fn made<T: OptionTable>(&self) -> Option<&Made<T>> {
        self.0.as_any().downcast_ref::<Made<T>>()
    }
}

impl UserData for OptionObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| {
            let fields = this.0.fields().unwrap_or_default();
            match key.as_string().and_then(|k| k.to_str().ok()) {
                Some(k) => from_plain(lua, fields.get(&k).unwrap_or(&Plain::Nil)),
                None => Ok(Value::Nil),
            }
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let table = from_plain(lua, &this.0.fields().unwrap_or_default())?;
            let next: Value = lua.globals().get("next")?;
            Ok((next, table, Value::Nil))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("{} result", this.0.kind()))
        });
    }
}

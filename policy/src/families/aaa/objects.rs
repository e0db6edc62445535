//! Access lists and maps of them, as objects that may be memoized.

use std::any::Any;
use std::sync::Arc;

use mlua::{IntoLua, Lua, Result, UserData, UserDataMethods, Value};
use ringmta_options::access::{AccessList, AccessMap};
use ringmta_options::plain::Portable;

use crate::vm::lua_value::LuaObject;

/// Gives an object of plain data its Lua side, and lets it be memoized.
macro_rules! portable {
    ($data:ident, $object:ident, $kind:literal) => {
        /// The Lua side.
        #[derive(Clone)]
        pub(crate) struct $object(pub Arc<$data>);

        impl LuaObject for $data {
            fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
                $object(self).into_lua(lua)
            }
        }

        impl Portable for $data {
            fn for_host(self: Arc<Self>) -> Box<dyn Any> {
                Box::new(self as Arc<dyn LuaObject>)
            }
            fn as_any(&self) -> &dyn Any {
                self
            }
            fn kind(&self) -> &'static str {
                $kind
            }
        }
    };
}

/// An access list.
pub(crate) struct Rules(pub AccessList);

/// A map of access lists.
pub(crate) struct RuleMap(pub AccessMap);

portable!(Rules, ListObject, "kumo.aaa.make_access_control_list");
portable!(RuleMap, MapObject, "kumo.aaa.load_acl_map");

impl UserData for ListObject {}

impl UserData for MapObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, resource: String| {
            let list = this.0 .0.get(&resource);
            Ok(list.map(|list| ListObject(Arc::new(Rules(list.clone())))))
        });
    }
}

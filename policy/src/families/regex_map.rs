//! `kumo.regex_set_map`: values by the first pattern that matches.

use std::any::Any;
use std::sync::Arc;

use mlua::{Error, IntoLua, Lua, MetaMethod, Result, Table, UserData, UserDataMethods, Value};
use regex::RegexSet;
use ringmta_options::plain::{Plain, Portable};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_plain, to_plain, LuaObject};

/// Patterns and what they stand for.
pub(crate) struct RegexMap {
    set: RegexSet,
    values: Vec<Plain>,
}

/// The Lua side.
#[derive(Clone)]
pub(crate) struct RegexMapObject(pub Arc<RegexMap>);

impl LuaObject for RegexMap {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        RegexMapObject(self).into_lua(lua)
    }
}

impl Portable for RegexMap {
    fn for_host(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(self as Arc<dyn LuaObject>)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        "kumo.regex_set_map"
    }
}

impl UserData for RegexMapObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: String| {
            match this.0.set.matches(&key).into_iter().next() {
                Some(n) => from_plain(lua, &this.0.values[n]),
                None => Ok(Value::Nil),
            }
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.regex_set_map.new",
    "rules: table",
    "any",
    "Values by the first pattern that matches.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "new", |_, rules: Table| {
        let mut pairs = Vec::new();
        for pair in rules.pairs::<String, Value>() {
            let (pattern, value) = pair?;
            pairs.push((pattern, to_plain(&value)?));
        }
        // A Lua table has no order of its own; this one is at least always the same.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let set = RegexSet::new(pairs.iter().map(|(p, _)| p))
            .map_err(|e| Error::runtime(format!("kumo.regex_set_map.new: {e}")))?;
        let values = pairs.into_iter().map(|(_, v)| v).collect();
        Ok(RegexMapObject(Arc::new(RegexMap { set, values })))
    })?;
    kumo.set("regex_set_map", t)
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    #[test]
    fn first_match() {
        let code = "local m = kumo.regex_set_map.new { ['^a.*'] = 'A', ['b$'] = {1} } return m.xyz, m.ax, m.xb[1]";
        assert_eq!(eval(code), json!([null, "A", 1]));
        assert!(eval_err("kumo.regex_set_map.new { ['('] = 1 }").contains("regex_set_map.new"));
    }
}

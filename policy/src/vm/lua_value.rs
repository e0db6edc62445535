//! Between Lua values, plain data and JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use mlua::{AnyUserData, IntoLua, Lua, Result, Table, Value};
use ringmta_options::plain::{Plain, Portable};
use serde_json::Value as Json;

use crate::limits::{MAX_VALUE_DEPTH, MAX_VALUE_NODES};

/// An object behind plain data that can be made a value of in every VM.
pub(crate) trait LuaObject: Portable {
    /// Makes the value.
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value>;
}

/// A value of a type that is not ours, on its way into a VM. Its methods are those registered for the type when the VM was made.
pub(crate) struct Object<T>(pub T);

impl<T> Object<T> {
    /// Each of a list.
    pub fn all(list: Vec<T>) -> Vec<Object<T>> {
        list.into_iter().map(Object).collect()
    }
}

impl<T: 'static> IntoLua for Object<T> {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        lua.create_any_userdata(self.0).map(Value::UserData)
    }
}

/// Gives the plain data of an object of one type; `None` when it is of another.
pub(crate) type PlainForm = fn(&AnyUserData) -> Option<Plain>;

/// The objects that have plain data underneath. Conversions lie below the families that have such objects, so they are told;
/// the list is a constant of the program.
static PLAIN_FORMS: OnceLock<&'static [PlainForm]> = OnceLock::new();

/// Tells which objects have plain data underneath, before the first VM is made.
pub(crate) fn set_plain_forms(forms: &'static [PlainForm]) {
    PLAIN_FORMS.get_or_init(|| forms);
}

/// Plain data of an object, when it has any.
fn plain_object(u: &AnyUserData) -> Result<Plain> {
    if let Some(plain) = PLAIN_FORMS.get().into_iter().flat_map(|f| *f).find_map(|form| form(u)) {
        return Ok(plain);
    }
    let name = u.type_name().ok().flatten().unwrap_or_else(|| "object".into());
    Err(mlua::Error::runtime(format!("a {name} cannot be turned into plain data")))
}

/// Guards a walk over a Lua value: depth (which also ends cycles) and size.
struct Walk {
    depth: usize,
    nodes: usize,
}

impl Walk {
    fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_VALUE_DEPTH {
            return Err(mlua::Error::runtime(
                "the table is nested too deeply; does it contain itself?",
            ));
        }
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_VALUE_NODES {
            return Err(mlua::Error::runtime("the table is too large"));
        }
        Ok(())
    }
}

/// Plain data of a Lua value. Functions, coroutines and objects that cannot leave their VM are errors.
pub(crate) fn to_plain(v: &Value) -> Result<Plain> {
    plain_walk(v, &mut Walk { depth: 0, nodes: 0 })
}

fn plain_walk(v: &Value, walk: &mut Walk) -> Result<Plain> {
    walk.count()?;
    Ok(match v {
        Value::Nil => Plain::Nil,
        Value::Boolean(b) => Plain::Bool(*b),
        Value::Integer(i) => Plain::Int(*i),
        Value::Number(n) => Plain::Num(*n),
        Value::String(s) => Plain::str(s.as_bytes()),
        Value::LightUserData(u) if u.0.is_null() => Plain::Nil,
        Value::UserData(u) => plain_object(u)?,
        Value::Table(t) => {
            walk.enter()?;
            let plain = plain_table(t, walk)?;
            walk.depth -= 1;
            plain
        }
        other => {
            return Err(mlua::Error::runtime(format!(
                "a {} cannot be turned into plain data",
                other.type_name()
            )))
        }
    })
}

fn plain_table(t: &Table, walk: &mut Walk) -> Result<Plain> {
    let len = t.raw_len();
    let mut items: Vec<(Plain, Plain)> = Vec::with_capacity(len);
    let mut is_list = len > 0;
    for pair in t.pairs::<Value, Value>() {
        let (k, v) = pair?;
        is_list = is_list && matches!(k, Value::Integer(i) if i >= 1 && i as usize <= len);
        items.push((plain_walk(&k, walk)?, plain_walk(&v, walk)?));
    }
    if items.is_empty() {
        return Ok(Plain::list(Vec::new()));
    }
    if is_list && items.len() == len {
        // lua_next gives the array part in order, but values stored in the hash part come in any.
        items.sort_by_key(|(k, _)| if let Plain::Int(i) = k { *i } else { 0 });
        return Ok(Plain::list(items.into_iter().map(|(_, v)| v).collect()));
    }
    Ok(Plain::Map(Arc::new(items)))
}

/// A Lua value of plain data.
pub(crate) fn from_plain(lua: &Lua, p: &Plain) -> Result<Value> {
    Ok(match p {
        Plain::Nil => Value::Nil,
        Plain::Bool(b) => Value::Boolean(*b),
        Plain::Int(i) => Value::Integer(*i),
        Plain::Num(n) => Value::Number(*n),
        Plain::Str(s) => Value::String(lua.create_string(s)?),
        Plain::List(l) => {
            let t = lua.create_table_with_capacity(l.len(), 0)?;
            for (i, v) in l.iter().enumerate() {
                t.raw_set(i + 1, from_plain(lua, v)?)?;
            }
            Value::Table(t)
        }
        Plain::Map(m) => {
            let t = lua.create_table_with_capacity(0, m.len())?;
            for (k, v) in m.iter() {
                t.raw_set(from_plain(lua, k)?, from_plain(lua, v)?)?;
            }
            Value::Table(t)
        }
        Plain::Object(o) => match o.clone().for_host().downcast::<Arc<dyn LuaObject>>() {
            Ok(object) => object.to_lua(lua)?,
            Err(_) => {
                return Err(mlua::Error::runtime(format!("{} is not of this host", o.kind())))
            }
        },
    })
}

/// JSON of a Lua value. An empty table is `{}`; strings that are not UTF-8 get replacement characters.
pub(crate) fn to_json(v: &Value) -> Result<Json> {
    match v {
        // The common cases without a detour.
        Value::Nil => Ok(Json::Null),
        Value::Boolean(b) => Ok(Json::Bool(*b)),
        Value::Integer(i) => Ok(Json::from(*i)),
        Value::String(s) => Ok(Json::String(s.to_string_lossy())),
        other => to_plain(other).map(|p| p.to_json()),
    }
}

/// A Lua value of JSON; `null` is nil.
pub(crate) fn from_json(lua: &Lua, v: &Json) -> Result<Value> {
    Ok(match v {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Value::Integer(i),
            None => Value::Number(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::String(lua.create_string(s)?),
        Json::Array(a) => {
            let t = lua.create_table_with_capacity(a.len(), 0)?;
            for (i, v) in a.iter().enumerate() {
                t.raw_set(i + 1, from_json(lua, v)?)?;
            }
            Value::Table(t)
        }
        Json::Object(m) => {
            let t = lua.create_table_with_capacity(0, m.len())?;
            for (k, v) in m {
                t.raw_set(k.as_str(), from_json(lua, v)?)?;
            }
            Value::Table(t)
        }
    })
}

/// JSON handed to Lua as a result.
pub(crate) struct JsonResult(pub Option<Json>);

impl IntoLua for JsonResult {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        match &self.0 {
            Some(v) => from_json(lua, v),
            None => Ok(Value::Nil),
        }
    }
}

/// What `tostring` makes of a value, for log lines.
pub(crate) fn display(v: &Value) -> String {
    match v {
        Value::String(s) => s.to_string_lossy(),
        other => other.to_string().unwrap_or_else(|_| format!("a {}", other.type_name())),
    }
}

/// A typed borrow of a userdata argument, or an error that says what was expected.
pub(crate) fn borrow<T: 'static + Clone>(u: &AnyUserData, what: &str) -> Result<T> {
    u.borrow::<T>().map(|v| v.clone()).map_err(|_| mlua::Error::runtime(format!("expected {what}")))
}

/// Name in the metatable of a table of options under which its sections stand.
const SECTIONS: &str = "ringmta_sections";

/// Says of a table of options which section of a data file each was read from.
pub(crate) fn note_sections(lua: &Lua, v: &Value, from: &BTreeMap<String, String>) -> Result<()> {
    let Value::Table(table) = v else { return Ok(()) };
    let names = lua.create_table_from(from.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    let meta = lua.create_table()?;
    meta.raw_set(SECTIONS, names)?;
    table.set_metatable(Some(meta))
}

/// What [`note_sections`] has said of a table.
pub(crate) fn sections_of(v: &Value) -> BTreeMap<String, String> {
    let meta = v.as_table().and_then(Table::metatable);
    let names = meta.and_then(|meta| meta.raw_get::<Table>(SECTIONS).ok());
    let pairs = names.iter().flat_map(Table::pairs::<String, String>);
    pairs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(code: &str) -> (Lua, Value) {
        let lua = Lua::new();
        let v = lua.load(code).eval().unwrap();
        (lua, v)
    }

    #[test]
    fn shapes() {
        for (code, json) in [
            ("{}", "{}"),
            ("{b={}}", r#"{"b":{}}"#),
            ("1.0", "1.0"),
            ("{1,2}", "[1,2]"),
            ("{a=nil, b=1}", r#"{"b":1}"#),
            ("{[1]=1,[3]=3}", r#"{"1":1,"3":3}"#),
            ("{[2]='b',[1]='a'}", r#"["a","b"]"#),
            ("'\\xff'", "\"\u{fffd}\""),
        ] {
            let (_lua, v) = eval(&format!("return {code}"));
            assert_eq!(to_json(&v).unwrap().to_string(), json, "{code}");
        }
    }

    #[test]
    fn bytes_survive() {
        let (lua, v) = eval("return {k='\\xff\\x00'}");
        let back = from_plain(&lua, &to_plain(&v).unwrap()).unwrap();
        assert_eq!(to_plain(&back).unwrap().get("k"), Some(&Plain::str(b"\xff\x00")));
    }

    #[test]
    fn cycles_and_bombs_end() {
        let (_lua, v) = eval("local t = {} t.t = t return t");
        assert!(to_plain(&v).unwrap_err().to_string().contains("does it contain itself?"));
        let (_lua, v) = eval("local t = {} for i=1,40 do t = {t,t} end return t");
        assert!(to_plain(&v).unwrap_err().to_string().contains("too large"));
        let (_lua, v) = eval("return {f=print}");
        assert!(to_plain(&v)
            .unwrap_err()
            .to_string()
            .contains("a function cannot be turned into plain data"));
    }
}

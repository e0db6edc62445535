//! Functions that answer at once when they can and wait only when they must.
//!
//! A native function that may wait costs a future and a trip through a coroutine even when it does not wait. So each such
//! function is a pair: `now` returns the number of its results and the results, or nothing when it would have to wait;
//! then `later` is called with the same arguments.

use mlua::{
    FromLuaMulti, Function, IntoLua, IntoLuaMulti, LightUserData, Lua, MultiValue, Result, Table,
    Value,
};

const PAIR: &str = r#"
local now, later, first = ...
if first ~= nil then
  return function(...)
    local n, a, b, c = now(...)
    if n == 1 then return a elseif n == 0 then return elseif n then return a, b, c end
    return later(first, ...)
  end
end
return function(...)
  local n, a, b, c = now(...)
  if n == 1 then return a elseif n == 0 then return elseif n then return a, b, c end
  return later(...)
end
"#;

const SINGLE: &str = r#"
local now, later, wait = ...
return function(...)
  local value = now(...)
  if value ~= wait then return value end
  return later(...)
end
"#;

/// Its address is what [`wait`] gives.
static WAIT: u8 = 0;

/// What the `now` of [`single`] returns when it would have to wait: a value no policy comes by.
pub(crate) fn wait() -> Value {
    Value::LightUserData(LightUserData(std::ptr::addr_of!(WAIT).cast_mut().cast()))
}

/// As [`pair`], of functions with exactly one result: `now` returns it, or [`wait`].
pub(crate) fn single(lua: &Lua, now: Function, later: Function) -> Result<Function> {
    lua.load(SINGLE).set_name("=kumo").call((now, later, wait()))
}

/// Results of a `now` function.
pub(crate) enum Now<R> {
    /// The answer.
    Done(R),
    /// It would have to wait.
    Wait,
}

/// More results than this always take the slow way.
const MAX_QUICK_RESULTS: usize = 3;

impl<R: IntoLuaMulti> IntoLuaMulti for Now<R> {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        let Now::Done(r) = self else { return Ok(MultiValue::new()) };
        let mut values = r.into_lua_multi(lua)?;
        if values.len() > MAX_QUICK_RESULTS {
            return Ok(MultiValue::new());
        }
        let n = match values.len() {
            n @ (0 | 1) => n,
            _ => MAX_QUICK_RESULTS,
        };
        values.push_front(Value::Integer(n as i64));
        Ok(values)
    }
}

/// Joins the pair into one Lua function. With `first`, `later` gets that value before the other arguments.
pub(crate) fn pair(
    lua: &Lua,
    now: Function,
    later: Function,
    first: Option<Function>,
) -> Result<Function> {
    lua.load(PAIR).set_name("=kumo").call((now, later, first))
}

/// A value made when the VM is at hand, for static fields of userdata types.
pub(crate) struct Lazy<F>(pub F);

impl<F: FnOnce(&Lua) -> Result<Function>> IntoLua for Lazy<F> {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        (self.0)(lua).map(Value::Function)
    }
}

/// Sets a native function in a module table.
pub(crate) fn def<A, R>(
    lua: &Lua,
    t: &Table,
    name: &str,
    f: impl Fn(&Lua, A) -> Result<R> + 'static,
) -> Result<()>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    t.set(name, lua.create_function(f)?)
}

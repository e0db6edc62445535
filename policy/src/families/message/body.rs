//! Methods of a message that need its body: at once when it is in memory, after reading it back when it is not.

use mlua::{Error, FromLuaMulti, IntoLua, IntoLuaMulti, Lua, Result, UserDataFields, UserDataRef};
use ringmta_mail::Message;

use crate::vm;
use crate::vm::functions::{pair, single, wait, Lazy, Now};

/// As [`body_method`], for one that gives one value and nothing else: the answer is handed on as it is.
pub(super) fn body_getter<Fs, A, R>(
    fields: &mut Fs,
    name: &'static str,
    f: fn(&Lua, &Message, &[u8], A) -> Result<R>,
) where
    Fs: UserDataFields<Message>,
    A: FromLuaMulti + 'static,
    R: IntoLua + 'static,
{
    let build = move |lua: &Lua| {
        let now =
            lua.create_function(move |lua, (m, args): (UserDataRef<Message>, A)| match m.body() {
                Some(body) => f(lua, &m, &body, args)?.into_lua(lua),
                None => Ok(wait()),
            })?;
        let later = lua.create_async_function(
            move |lua, (m, args): (UserDataRef<Message>, A)| async move {
                let m = m.clone();
                ensure_body(&lua, &m).await?;
                let body = m.body().ok_or_else(|| Error::runtime("the message has no body"))?;
                f(&lua, &m, &body, args)
            },
        )?;
        single(lua, now, later)
    };
    fields.add_field(name, Lazy(build));
}

/// Makes a method that needs the body: at once when the body is in memory, after reading it back when it is not.
pub(crate) fn body_method<Fs, A, R>(
    fields: &mut Fs,
    name: &'static str,
    f: fn(&Lua, &Message, &[u8], A) -> Result<R>,
) where
    Fs: UserDataFields<Message>,
    A: FromLuaMulti + 'static,
    R: IntoLuaMulti + 'static,
{
    let build = move |lua: &Lua| {
        let now = lua.create_function(
            move |lua, (m, args): (UserDataRef<Message>, mlua::MultiValue)| match m.body() {
                Some(body) => f(lua, &m, &body, A::from_lua_multi(args, lua)?).map(Now::Done),
                None => Ok(Now::Wait),
            },
        )?;
        let later = lua.create_async_function(
            move |lua, (m, args): (UserDataRef<Message>, mlua::MultiValue)| async move {
                let m = m.clone();
                ensure_body(&lua, &m).await?;
                let body = m.body().ok_or_else(|| Error::runtime("the message has no body"))?;
                f(&lua, &m, &body, A::from_lua_multi(args, &lua)?)
            },
        )?;
        pair(lua, now, later, None)
    };
    fields.add_field(name, Lazy(build));
}

/// Reads the body back from the spool if it is not in memory.
pub(crate) async fn ensure_body(lua: &Lua, m: &Message) -> Result<()> {
    if m.body().is_some() {
        return Ok(());
    }
    let host = vm::ctx(lua)?.host.clone();
    let body = host.load_body(m.id()).await.map_err(Error::runtime)?;
    m.restore_body(body);
    Ok(())
}

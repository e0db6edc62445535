//! Fetching what a key source points to, and `kumo.secrets`.

use mlua::{Error, Lua, Result, Table, Value};

use crate::lua_value::{from_plain, to_plain};
use crate::options::{KeySource, Notes, OptionValue};
use crate::vm;

/// The bytes of a key or password. Never logged.
pub(crate) async fn load(lua: &Lua, source: &KeySource) -> Result<Vec<u8>> {
    match source {
        KeySource::Data(data) => Ok(data.clone()),
        KeySource::File(path) => {
            super::serde::read_file(lua, path.to_string_lossy().into_owned()).await
        }
        KeySource::Event { name, args } => {
            let f = vm::ctx(lua)?.last_handler(lua, name)?;
            let f = f.ok_or_else(|| {
                Error::runtime(format!("the policy has no handler for the key event `{name}`"))
            })?;
            let args =
                args.iter().map(|a| from_plain(lua, a)).collect::<Result<mlua::MultiValue>>()?;
            let v: Value = f.call_async(args).await?;
            match v {
                Value::String(s) => Ok(s.as_bytes().to_vec()),
                other => Err(Error::runtime(format!(
                    "the key event `{name}` returned a {}, expected bytes",
                    other.type_name()
                ))),
            }
        }
        KeySource::Vault { .. } => {
            Err(Error::runtime("a vault key source is not supported by this version of ringmta"))
        }
    }
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let secrets = lua.create_table()?;
    let f = lua.create_async_function(|lua, v: Value| async move {
        let source = KeySource::parse(&to_plain(&v)?, &mut Notes::default())
            .map_err(|e| Error::runtime(format!("kumo.secrets.load: {e}")))?;
        let bytes = load(&lua, &source).await?;
        lua.create_string(bytes)
    })?;
    secrets.set("load", f)?;
    kumo.set("secrets", secrets)
}

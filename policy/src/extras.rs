//! `policy-extras.*`: helper modules shipped inside the binary.

use mlua::{Function, Lua, Result, Table, Value};

/// Module name and source.
const MODULES: &[(&str, &str)] = &[];

/// Adds a searcher behind the usual ones: a module on disk wins over the one in the binary.
pub(crate) fn register(lua: &Lua) -> Result<()> {
    let package: Table = lua.globals().get("package")?;
    let searchers: Table = package.get("searchers")?;
    let search = lua.create_function(|lua, name: String| {
        let wanted =
            name.strip_prefix("policy-extras.").and_then(|n| MODULES.iter().find(|(m, _)| *m == n));
        match wanted {
            Some((_, source)) => {
                let f: Function = lua.load(*source).set_name(format!("={name}")).into_function()?;
                Ok(Value::Function(f))
            }
            None => {
                Ok(Value::String(lua.create_string(format!("no module '{name}' in the binary"))?))
            }
        }
    })?;
    searchers.push(search)
}

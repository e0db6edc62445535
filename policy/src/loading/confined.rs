//! Lua's own functions that write files or run programs, in a confined process: what the kernel refuses is told with its
//! reason. The functions themselves are Lua's; where the process is not confined they are not touched.

use std::path::Path;

use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use crate::confinement;

/// EACCES, as Lua's functions report it.
const DENIED: i64 = 13;

/// Puts the reasons in.
pub(crate) fn install(lua: &Lua) -> Result<()> {
    if !confinement::is_in_force() {
        return Ok(());
    }
    for (library, name) in [("io", "open"), ("os", "remove"), ("os", "rename")] {
        let table: Table = lua.globals().get(library)?;
        let plain: Function = table.get(name)?;
        let told = lua.create_function(move |lua, args: MultiValue| {
            let paths: Vec<Value> = args.iter().take(2).cloned().collect();
            let result: MultiValue = plain.call(args)?;
            with_reason(lua, name, &paths, result)
        })?;
        table.set(name, told)?;
    }
    let io: Table = lua.globals().get("io")?;
    let popen = lua.create_function(|lua, (program, _mode): (String, Value)| {
        (Value::Nil, lua.create_string(not_run(&program))?, DENIED).into_lua_multi(lua)
    })?;
    io.set("popen", popen)?;
    let os: Table = lua.globals().get("os")?;
    let execute = lua.create_function(|lua, program: Option<String>| {
        // Without a program it is asked whether there is a shell.
        let Some(program) = program else { return false.into_lua_multi(lua) };
        not_run(&program);
        // As for a program that cannot be found.
        (Value::Nil, "exit", 127).into_lua_multi(lua)
    })?;
    os.set("execute", execute)
}

/// Says it in the log too: what a policy does with the answer is its own affair.
fn not_run(program: &str) -> String {
    let why = confinement::why_not_run(program);
    tracing::error!("{why}");
    why
}

fn with_reason(lua: &Lua, name: &str, paths: &[Value], result: MultiValue) -> Result<MultiValue> {
    let mut values: Vec<Value> = result.into_iter().collect();
    let denied = values.get(2).and_then(Value::as_integer) == Some(DENIED);
    // Of the arguments of `open` the second is no path.
    let paths = &paths[..paths.len().min(if name == "rename" { 2 } else { 1 })];
    if denied {
        let reasons = paths.iter().filter_map(|path| Some(path.as_string()?.to_string_lossy()));
        let mut reasons = reasons.map(|path| confinement::why_not_written(Path::new(&path)));
        let reason = reasons.find(|reason| !reason.is_empty()).unwrap_or_default();
        let text = values.get(1).and_then(|text| Some(text.as_string()?.to_string_lossy()));
        values[1] = Value::String(lua.create_string(text.unwrap_or_default() + &reason)?);
    }
    Ok(MultiValue::from_iter(values))
}

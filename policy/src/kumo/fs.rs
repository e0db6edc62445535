//! `kumo.fs`, the little of it that policies use. Files are read on the helper threads.

use mlua::{Error, Lua, Result, Table};

use crate::vm;

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let fs = lua.create_table()?;
    let read_dir = lua.create_async_function(|lua, path: String| async move {
        let shown = path.clone();
        let list =
            vm::ctx(&lua)?.shared.clone().helpers().run(move || -> std::io::Result<Vec<String>> {
                let mut names = Vec::new();
                for entry in std::fs::read_dir(&path)? {
                    names.push(entry?.path().to_string_lossy().into_owned());
                }
                names.sort();
                Ok(names)
            });
        list.await.map_err(|e| Error::runtime(format!("kumo.fs.read_dir: {shown}: {e}")))
    })?;
    fs.set("read_dir", &read_dir)?;
    kumo.set("read_dir", read_dir)?;
    kumo.set("fs", fs)
}

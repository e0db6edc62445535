//! `kumo.fs`. Files are read on the helper threads.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Result, Table, UserData, UserDataMethods, Value};

use super::glob::glob;
use crate::confinement;
use crate::limits::MAX_POLICY_FILE_BYTES;
use crate::vm;
use crate::vm::declared::FnDef;

type Open = Option<Arc<Mutex<File>>>;

/// An open file; `None` after `close`.
#[derive(Clone)]
struct FileObject(Rc<RefCell<Open>>);

/// Runs a blocking job on a helper thread, with its failure named.
async fn job<T: Send + 'static>(
    lua: &Lua,
    call: &str,
    f: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let run = vm::ctx(lua)?.shared.helpers().run(f);
    run.await.map_err(|e| Error::runtime(format!("kumo.fs.{call}: {e}")))
}

impl FileObject {
    fn handle(&self) -> Result<Arc<Mutex<File>>> {
        self.0.borrow().clone().ok_or_else(|| Error::runtime("kumo.fs: the file is closed"))
    }
}

impl UserData for FileObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("read", |lua, f, n: Option<u64>| async move {
            let file = f.handle()?;
            let bytes = job(&lua, "read", move || {
                let mut out = Vec::new();
                let most = n.unwrap_or(MAX_POLICY_FILE_BYTES).min(MAX_POLICY_FILE_BYTES);
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                (&*file).take(most).read_to_end(&mut out)?;
                Ok(out)
            });
            lua.create_string(bytes.await?)
        });
        methods.add_async_method("write", |lua, f, data: mlua::String| async move {
            let (file, data) = (f.handle()?, data.as_bytes().to_vec());
            job(&lua, "write", move || {
                file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&data)
            })
            .await
        });
        methods.add_async_method("seek", |lua, f, (whence, n): (String, Option<i64>)| async move {
            let (file, n) = (f.handle()?, n.unwrap_or(0));
            let to = match whence.as_str() {
                "set" => SeekFrom::Start(n.max(0) as u64),
                "cur" => SeekFrom::Current(n),
                "end" => SeekFrom::End(n),
                _ => return Err(Error::runtime("kumo.fs.seek: expected 'set', 'cur' or 'end'")),
            };
            job(&lua, "seek", move || file.lock().unwrap_or_else(PoisonError::into_inner).seek(to))
                .await
        });
        methods.add_async_method("flush", |lua, f, ()| async move {
            let file = f.handle()?;
            job(&lua, "flush", move || file.lock().unwrap_or_else(PoisonError::into_inner).flush())
                .await
        });
        methods.add_method("close", |_, f, ()| {
            f.0.borrow_mut().take();
            Ok(())
        });
    }
}

fn why_not(path: &str, e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => confinement::why_not_written(Path::new(path)),
        _ => String::new(),
    }
}

/// `r`, `w`, `a`, each with `+` or `b`.
fn open(path: &str, mode: &str) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    let both = mode.contains('+');
    match mode.chars().next() {
        Some('r') => options.read(true).write(both),
        Some('w') => options.write(true).create(true).truncate(true).read(both),
        Some('a') => options.append(true).create(true).read(both),
        _ => return Err(std::io::Error::other(format!("`{mode}` is not a mode"))),
    };
    options.open(path).map_err(|e| {
        // Reading is not confined.
        let why = if mode != "r" && mode != "rb" { why_not(path, &e) } else { String::new() };
        std::io::Error::other(format!("{path}: {e}{why}"))
    })
}

fn metadata(lua: &Lua, m: &std::fs::Metadata) -> Result<Table> {
    let t = lua.create_table()?;
    t.set("len", m.len())?;
    t.set("is_file", m.is_file())?;
    t.set("is_dir", m.is_dir())?;
    t.set("is_symlink", m.is_symlink())?;
    let modified = m.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    t.set("modified", modified.map(|d| d.as_secs_f64()))?;
    Ok(t)
}

fn read_dir(path: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let list = std::fs::read_dir(path);
    for entry in list.map_err(|e| std::io::Error::other(format!("{path}: {e}")))? {
        names.push(entry?.path().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.{fs.glob,fs.uncached_glob,glob,uncached_glob}",
        "pattern: string, base?: string, ttl?: any",
        "string[]",
        "Files whose path matches.",
    ),
    FnDef::new("kumo.{fs.read_dir,read_dir}", "path: string", "string[]", "What a folder holds."),
    FnDef::new(
        "kumo.fs.{metadata_for_path,symlink_metadata_for_path}",
        "path: string",
        "table",
        "Kind, size and time of a file, or of the link itself.",
    ),
    FnDef::new(
        "kumo.fs.open",
        "path: string, mode?: string",
        "any",
        "Opens a file without making the shard wait.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let fs = lua.create_table()?;
    let list = lua.create_async_function(|lua, path: String| async move {
        job(&lua, "read_dir", move || read_dir(&path)).await
    })?;
    fs.set("read_dir", &list)?;
    kumo.set("read_dir", list)?;
    for name in ["glob", "uncached_glob"] {
        let f = lua.create_async_function(
            move |lua, (pattern, base, _ttl): (String, Option<String>, Value)| async move {
                job(&lua, name, move || {
                    glob(&pattern, base.as_deref()).map_err(std::io::Error::other)
                })
                .await
            },
        )?;
        fs.set(name, &f)?;
        kumo.set(name, f)?;
    }
    for (name, follow) in [("metadata_for_path", true), ("symlink_metadata_for_path", false)] {
        let f = lua.create_async_function(move |lua, path: String| async move {
            let m = job(&lua, name, move || {
                let m = if follow {
                    std::fs::metadata(&path)
                } else {
                    std::fs::symlink_metadata(&path)
                };
                m.map_err(|e| std::io::Error::other(format!("{path}: {e}")))
            });
            metadata(&lua, &m.await?)
        })?;
        fs.set(name, f)?;
    }
    let f =
        lua.create_async_function(|lua, (path, mode): (String, Option<String>)| async move {
            let mode = mode.unwrap_or_else(|| "r".into());
            let file = job(&lua, "open", move || open(&path, &mode)).await?;
            let object = FileObject(Rc::new(RefCell::new(Some(Arc::new(Mutex::new(file))))));
            let values: MultiValue = object.into_lua_multi(&lua)?;
            Ok(values)
        })?;
    fs.set("open", f)?;
    kumo.set("fs", fs)
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    #[test]
    fn files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.txt").display().to_string();
        let got = eval(&format!(
            "local f = kumo.fs.open('{path}', 'w+') f:write 'hello' f:seek('set', 1) local r = f:read(3) f:close()
             return r, kumo.fs.metadata_for_path('{path}').len, #kumo.fs.glob('*.txt', '{}')",
            dir.path().display()
        ));
        assert_eq!(got, json!(["ell", 5, 1]));
        assert!(eval_err("kumo.fs.open('/no/such')").contains("/no/such: No such file"));
        assert!(eval_err(&format!("local f = kumo.fs.open('{path}') f:close() f:read()"))
            .contains("the file is closed"));
    }
}

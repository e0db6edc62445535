//! The module `sqlite`. Statements run on the helper threads.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mlua::{Error, Lua, MultiValue, Result, Table, UserData, UserDataMethods, UserDataRef};
use ringmta_options::plain::Plain;
use rusqlite::types::ValueRef;
use rusqlite::Connection;

use crate::confinement::why_not_written;
use crate::limits::{MAX_SQLITE_ROWS, SQLITE_BUSY};
use crate::vm;
use crate::vm::lua_value::{from_plain, to_plain};

/// A database; `None` after `close`.
struct Db(Arc<Mutex<Option<Connection>>>);

type Failable<T> = std::result::Result<T, String>;

fn value(p: &Plain) -> Failable<rusqlite::types::Value> {
    use rusqlite::types::Value as Sql;
    Ok(match p {
        Plain::Nil => Sql::Null,
        Plain::Bool(b) => Sql::Integer((*b).into()),
        Plain::Int(n) => Sql::Integer(*n),
        Plain::Num(n) => Sql::Real(*n),
        Plain::Str(s) => match std::str::from_utf8(s) {
            Ok(text) => Sql::Text(text.to_owned()),
            Err(_) => Sql::Blob(s.to_vec()),
        },
        other => return Err(format!("{} cannot be a parameter", other.describe())),
    })
}

fn column(v: ValueRef<'_>) -> Plain {
    match v {
        ValueRef::Null => Plain::Nil,
        ValueRef::Integer(n) => Plain::Int(n),
        ValueRef::Real(n) => Plain::Num(n),
        ValueRef::Text(b) | ValueRef::Blob(b) => Plain::str(b),
    }
}

/// Parameters by position, or by name when they are one table with text keys.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Plain]) -> Failable<()> {
    let failed = |e: rusqlite::Error| e.to_string();
    if let [Plain::Map(named)] = params {
        for (key, v) in named.iter() {
            let name = format!(":{}", key.key_text());
            let index = statement.parameter_index(&name).map_err(failed)?;
            let index = index.ok_or_else(|| format!("the statement has no parameter `{name}`"))?;
            statement.raw_bind_parameter(index, value(v)?).map_err(failed)?;
        }
        return Ok(());
    }
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        return Err(format!("the statement has {wanted} parameters, {} were given", params.len()));
    }
    for (i, v) in params.iter().enumerate() {
        statement.raw_bind_parameter(i + 1, value(v)?).map_err(failed)?;
    }
    Ok(())
}

/// The rows, or how many were changed when the statement gives none.
fn execute(conn: &Connection, sql: &str, params: &[Plain]) -> Failable<Plain> {
    let failed = |e: rusqlite::Error| {
        let is_refused = matches!(
            e.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen)
        );
        let path = conn.path().filter(|path| is_refused && !path.is_empty());
        format!("{e}{}", path.map(|path| why_not_written(Path::new(path))).unwrap_or_default())
    };
    let mut statement = conn.prepare_cached(sql).map_err(failed)?;
    bind(&mut statement, params)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        let changed = statement.raw_execute().map_err(failed)?;
        return Ok(Plain::Int(changed as i64));
    }
    let mut rows = statement.raw_query();
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        if out.len() == MAX_SQLITE_ROWS {
            return Err(format!("more than {MAX_SQLITE_ROWS} rows"));
        }
        let get = |i: usize| row.get_ref(i).map(column).map_err(failed);
        out.push(match names.len() {
            1 => get(0)?,
            n => {
                let cells = (0..n).map(|i| Ok((names[i].as_str(), get(i)?)));
                Plain::map(cells.collect::<Failable<Vec<_>>>()?)
            }
        });
    }
    Ok(Plain::list(out))
}

impl UserData for Db {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method(
            "execute",
            |lua, db: UserDataRef<Db>, (sql, params): (String, MultiValue)| async move {
                let params = params.iter().map(to_plain).collect::<Result<Vec<_>>>()?;
                let conn = db.0.clone();
                drop(db);
                let job = move || {
                    let conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
                    let conn = conn.as_ref().ok_or("the database is closed")?;
                    execute(conn, &sql, &params)
                };
                let done = vm::ctx(&lua)?.shared.clone();
                let done = done.helpers().run(job).await;
                from_plain(&lua, &done.map_err(|e| Error::runtime(format!("sqlite: {e}")))?)
            },
        );
        methods.add_async_method("close", |lua, db: UserDataRef<Db>, ()| async move {
            let conn = db.0.clone();
            drop(db);
            let job = move || conn.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
            vm::ctx(&lua)?.shared.clone().helpers().run(job).await;
            Ok(())
        });
    }
}

pub(crate) fn module(lua: &Lua) -> Result<Table> {
    let sqlite = lua.create_table()?;
    let open =
        lua.create_async_function(|lua, (path, busy): (String, Option<u64>)| async move {
            let busy = busy.map_or(SQLITE_BUSY, Duration::from_millis);
            let name = path.clone();
            let job = move || {
                let conn = Connection::open(&path)?;
                conn.busy_timeout(busy)?;
                Ok(conn)
            };
            let conn: std::result::Result<Connection, rusqlite::Error> =
                vm::ctx(&lua)?.shared.clone().helpers().run(job).await;
            let conn = conn.map_err(|e| {
                let why = why_not_written(Path::new(&name));
                Error::runtime(format!("sqlite.open: {name}: {e}{why}"))
            })?;
            Ok(Db(Arc::new(Mutex::new(Some(conn)))))
        })?;
    sqlite.set("open", open)?;
    Ok(sqlite)
}

/// An object without content, to see what such an object has.
pub(crate) fn sample() -> impl UserData {
    Db(Arc::default())
}

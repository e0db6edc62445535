//! Registration, control flow and diagnostics.

use std::io::Write;
use std::rc::Rc;

use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};
use ringmta_options::{Notes, OptionValue};

use crate::event_table;
use crate::vm::declared::FnDef;
use crate::vm::error::{Disconnect, Rejection};
use crate::vm::functions::def;
use crate::vm::lua_value::{display, to_plain};
use crate::vm::Ctx;

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.reject",
        "code: integer, text: string",
        "",
        "Ends the handler: the peer gets this answer. The code is from 400 to 599.",
    ),
    FnDef::new(
        "kumo.disconnect",
        "code: integer, text: string, how?: 'If421'|'FollowWith421'|'ForceDisconnect'",
        "",
        "As `reject`, and the session ends.",
    ),
    FnDef::new("kumo.log_{error,warn,info,debug}", "...: any", "", "Writes a line of diagnostics."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    kumo.set("version", concat!("ringmta ", env!("CARGO_PKG_VERSION")))?;
    let c = ctx.clone();
    kumo.set(
        "on",
        lua.create_function(move |lua, (event, f): (String, Function)| on(lua, &c, event, f))?,
    )?;
    kumo.set(
        "reject",
        lua.create_function(|_, (code, text): (i64, String)| reject(code, text, None))?,
    )?;
    kumo.set(
        "disconnect",
        lua.create_function(|_, (code, text, how): (i64, String, Value)| {
            let how = match how {
                Value::Nil => Disconnect::FollowWith421,
                v => Disconnect::parse(&to_plain(&v)?, &mut Notes::default())
                    .map_err(Error::runtime)?,
            };
            reject(code, text, Some(how))
        })?,
    )?;
    logging(lua, kumo, ctx)
}

fn on(lua: &Lua, ctx: &Rc<Ctx>, event: String, f: Function) -> Result<()> {
    if let Some(advice) = event_table::advice(&event) {
        ctx.shared.warn_once(&advice);
    }
    let place = crate::vm::lua_positions::place(lua).map(|(file, line)| format!("{file}:{line}"));
    let place = place.unwrap_or_else(|| "?".into());
    ctx.registrars.borrow_mut().entry(event.clone()).or_default().push(place);
    ctx.add_handler(event, f);
    Ok(())
}

fn reject(code: i64, text: String, disconnect: Option<Disconnect>) -> Result<()> {
    let code = u16::try_from(code).ok().filter(|c| (400..=599).contains(c));
    let Some(code) = code else {
        return Err(Error::runtime("kumo.reject: the code must be from 400 to 599"));
    };
    Err(Error::external(Rejection { code, text, disconnect }))
}

/// All arguments as one line.
fn line(args: &MultiValue, separator: &str) -> String {
    args.iter().map(display).collect::<Vec<_>>().join(separator)
}

/// `kumo.log_<level>` and `print`: one line of diagnostics, marked with the shard.
fn logging(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let shard = ctx.host.shard();
    macro_rules! level {
        ($name:literal, $level:ident) => {
            let c = ctx.clone();
            def(lua, kumo, $name, move |_, args: MultiValue| {
                tracing::$level!(shard, "{}", line(&args, " "));
                c.note_said(concat!(stringify!($level), ": "), || line(&args, " "));
                Ok(())
            })?
        };
    }
    level!("log_error", error);
    level!("log_warn", warn);
    level!("log_info", info);
    level!("log_debug", debug);
    let script = ctx.mode == crate::vm::context::Mode::Script;
    let c = ctx.clone();
    def(lua, &lua.globals(), "print", move |_, args: MultiValue| {
        if script {
            // What a script prints is what it was run for.
            let written = writeln!(std::io::stdout(), "{}", line(&args, "\t"));
            // Whoever reads may have had enough.
            return match written {
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                written => written.map_err(|e| Error::runtime(format!("print: {e}"))),
            };
        }
        tracing::info!(shard, "{}", line(&args, "\t"));
        c.note_said("", || line(&args, "\t"));
        Ok(())
    })
}

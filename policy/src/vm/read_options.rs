//! Reading options that a policy gives.

use std::time::Duration;

use mlua::{Error, Result, Value};
use ringmta_options::plain::Plain;
use ringmta_options::{Notes, OptionTable, OptionValue};

use super::context::Ctx;
use super::lua_value::to_plain;
use crate::template::log_line::LogTemplate;

/// What option tables are read with.
pub(crate) fn notes() -> Notes {
    Notes { check_template: Some(LogTemplate::check), ..Notes::default() }
}

/// Reads an option table given to `call`; warnings are logged once per process.
pub(crate) fn options<T: OptionTable>(ctx: &Ctx, v: &Plain) -> mlua::Result<T> {
    let mut notes = notes();
    let parsed = T::parse(v, &mut notes);
    notes.warnings.iter().for_each(|w| ctx.shared.warn_once(w));
    parsed.map_err(|e| mlua::Error::runtime(format!("{}: {e}", T::CALL)))
}

/// Reads a duration.
pub(crate) fn duration(v: &Value) -> Result<Duration> {
    Duration::parse(&to_plain(v)?, &mut Notes::default()).map_err(Error::runtime)
}

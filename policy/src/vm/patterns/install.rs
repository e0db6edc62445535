//! The functions in a VM.

use std::rc::Rc;

use mlua::{Error, IntoLua, Lua, MultiValue, Result, Value};

use super::cost::Cost;
use super::matcher::{Capture, Fault, Matcher};
use crate::limits::PATTERN_STEPS_UNWATCHED;
use crate::vm::handler_budget::{Slice, TOO_LONG};

const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/patterns.lua"));

/// A pattern without any of these is searched as it stands (so Lua sees a `)` alone as plain).
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Puts `string.find`, `match`, `gmatch` and `gsub` that cannot run for ever in the place of Lua's own.
pub(crate) fn install(lua: &Lua, slice: &Rc<Slice>) -> Result<()> {
    install_with(lua, slice, PATTERN_STEPS_UNWATCHED)
}

/// The same; what may take more than `unwatched` steps goes to the matcher that can be interrupted, with 0 everything.
pub(super) fn install_with(lua: &Lua, slice: &Rc<Slice>, unwatched: u64) -> Result<()> {
    let limit_of = lua.create_function(move |_, (pattern, anchors): (mlua::String, bool)| {
        let pattern = pattern.as_bytes();
        if !pattern.iter().any(|byte| SPECIAL.contains(byte)) {
            return Ok(i64::MAX); // a plain text
        }
        let cost = Cost::of(&pattern, anchors).filter(|_| unwatched > 0);
        let longest = cost.map(|cost| cost.longest(unwatched));
        Ok(longest.map_or(-1, |longest| i64::try_from(longest).unwrap_or(i64::MAX)))
    })?;
    let slice = slice.clone();
    let search = lua.create_function(move |lua, (how, text, pattern, from, last): Question| {
        search(lua, &slice, &how.to_str()?, &text.as_bytes(), &pattern.as_bytes(), (from, last))
    })?;
    // Without line numbers: an error of Lua's own functions below would be told with a line of this file.
    let stripped = lua.load(TEXT).set_name("=string").into_function()?.dump(true);
    lua.load(stripped).call((limit_of, search))
}

/// For which function, the text, the pattern, where to begin, and where the match before ended.
type Question = (mlua::String, mlua::String, mlua::String, usize, Option<usize>);

/// Begin (from 1), end and captures of the next match; nil for none; `false` and what is wrong with the pattern.
fn search(
    lua: &Lua,
    slice: &Slice,
    how: &str,
    text: &[u8],
    pattern: &[u8],
    (from, last): (usize, Option<usize>),
) -> Result<MultiValue> {
    let anchored = how != "gmatch" && pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(text, pattern, || slice.may_go_on(lua));
    let found = matcher.search(from, last, anchored, usize::from(anchored));
    let found = found.and_then(|found| match found {
        Some(found) => Ok(Some((found, matcher.captures()?))),
        None => Ok(None),
    });
    let ((begin, end), captures) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(MultiValue::from_iter([Value::Nil])),
        Err(Fault::Pattern(wrong)) => {
            return Ok(MultiValue::from_iter([Value::Boolean(false), wrong.into_lua(lua)?]))
        }
        Err(Fault::Interrupted) => return Err(Error::runtime(TOO_LONG)),
    };
    let mut values = vec![(begin + 1).into_lua(lua)?, end.into_lua(lua)?];
    for capture in captures {
        values.push(match *capture {
            Capture::Part(from, to) => lua.create_string(&text[from..to])?.into_lua(lua)?,
            Capture::Open(at) | Capture::Place(at) => (at + 1).into_lua(lua)?,
        });
    }
    if captures.is_empty() && how != "find" {
        values.push(lua.create_string(&text[begin..end])?.into_lua(lua)?);
    }
    Ok(MultiValue::from_vec(values))
}

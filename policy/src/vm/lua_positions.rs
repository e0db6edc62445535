//! Where the Lua code stands that is calling.

use mlua::Lua;

/// Whether a failure would be caught: the call was made, at whatever distance, by `pcall` or `xpcall`.
pub(crate) fn is_caught(lua: &Lua) -> bool {
    /// Calls that are looked through.
    const DEPTH: usize = 64;
    let catching: Vec<mlua::Function> =
        ["pcall", "xpcall"].iter().filter_map(|name| lua.globals().get(*name).ok()).collect();
    let frames = (0..DEPTH).map_while(|level| {
        lua.inspect_stack(level, |d| d.source().what == "C" && catching.contains(&d.function()))
    });
    frames.into_iter().any(|is_catching| is_catching)
}

/// File and line of the Lua code that is calling.
pub(crate) fn place(lua: &Lua) -> Option<(String, usize)> {
    /// Calls of helpers within helpers that are looked through.
    const DEPTH: usize = 16;
    (0..DEPTH).find_map(|level| {
        lua.inspect_stack(level, |d| {
            let line = d.current_line()?;
            // `short_src` would be cut to sixty characters.
            let source = d.source().source?.into_owned();
            Some((source.trim_start_matches(['@', '=']).to_owned(), line))
        })
        .flatten()
    })
}

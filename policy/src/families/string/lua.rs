//! `kumo.string`.

use mlua::{Lua, Result, Table};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;

type Strings = Result<Vec<String>>;

fn own<'a>(parts: impl Iterator<Item = &'a str>) -> Strings {
    Ok(parts.map(str::to_owned).collect())
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.string.{split,rsplit}",
        "text: string, separator: string",
        "string[]",
        "The parts of a text, from its begin or its end.",
    ),
    FnDef::new(
        "kumo.string.{splitn,rsplitn}",
        "text: string, n: integer, separator: string",
        "string[]",
        "At most so many parts.",
    ),
    FnDef::new(
        "kumo.string.{split_whitespace,split_ascii_whitespace}",
        "text: string",
        "string[]",
        "The words of a text.",
    ),
    FnDef::new(
        "kumo.string.replace",
        "text: string, from: string, to: string",
        "string",
        "Replaces everywhere.",
    ),
    FnDef::new(
        "kumo.string.replacen",
        "text: string, from: string, to: string, n: integer",
        "string",
        "Replaces so often.",
    ),
    FnDef::new(
        "kumo.string.{trim,trim_start,trim_end}",
        "text: string",
        "string",
        "The text without white space around it.",
    ),
    FnDef::new(
        "kumo.string.{starts_with,ends_with}",
        "text: string, part: string",
        "boolean",
        "Whether a text begins or ends so.",
    ),
    FnDef::new(
        "kumo.string.{psl_domain,psl_suffix}",
        "name: string",
        "string|nil",
        "The registrable domain, or the public suffix.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "split", |_, (s, p): (String, String)| own(s.split(&p)))?;
    def(lua, &t, "splitn", |_, (s, n, p): (String, usize, String)| own(s.splitn(n, &p)))?;
    def(lua, &t, "rsplit", |_, (s, p): (String, String)| own(s.rsplit(&p)))?;
    def(lua, &t, "rsplitn", |_, (s, n, p): (String, usize, String)| own(s.rsplitn(n, &p)))?;
    def(lua, &t, "split_whitespace", |_, s: String| own(s.split_whitespace()))?;
    def(lua, &t, "split_ascii_whitespace", |_, s: String| own(s.split_ascii_whitespace()))?;
    def(
        lua,
        &t,
        "replace",
        |_, (s, from, to): (String, String, String)| Ok(s.replace(&from, &to)),
    )?;
    def(lua, &t, "replacen", |_, (s, from, to, n): (String, String, String, usize)| {
        Ok(s.replacen(&from, &to, n))
    })?;
    def(lua, &t, "trim", |_, s: String| Ok(s.trim().to_owned()))?;
    def(lua, &t, "trim_start", |_, s: String| Ok(s.trim_start().to_owned()))?;
    def(lua, &t, "trim_end", |_, s: String| Ok(s.trim_end().to_owned()))?;
    def(lua, &t, "starts_with", |_, (s, p): (String, String)| Ok(s.starts_with(&p)))?;
    def(lua, &t, "ends_with", |_, (s, p): (String, String)| Ok(s.ends_with(&p)))?;
    def(lua, &t, "psl_domain", |_, s: String| {
        let name = s.trim_end_matches('.').to_ascii_lowercase();
        Ok(ringmta_suffixes::domain(&name).map(str::to_owned))
    })?;
    def(lua, &t, "psl_suffix", |_, s: String| {
        let name = s.trim_end_matches('.').to_ascii_lowercase();
        Ok(ringmta_suffixes::suffix(&name).map(str::to_owned))
    })?;
    super::template::register(lua, &t)?;
    kumo.set("string", t)
}

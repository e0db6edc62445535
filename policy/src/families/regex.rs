//! `kumo.regex`, in fancy-regex syntax.

use fancy_regex::Regex;
use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, Value};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;

struct RegexObject(Regex);

fn failed(e: fancy_regex::Error) -> Error {
    Error::runtime(format!("kumo.regex: {e}"))
}

fn captures(lua: &Lua, re: &Regex, text: &str) -> Result<Value> {
    let Some(found) = re.captures(text).map_err(failed)? else { return Ok(Value::Nil) };
    let t = lua.create_table()?;
    for (i, name) in re.capture_names().enumerate() {
        let value = found.get(i).map(|m| m.as_str());
        t.set(i, value)?;
        if let Some(name) = name {
            t.set(name, value)?;
        }
    }
    Ok(Value::Table(t))
}

impl UserData for RegexObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("captures", |lua, r, s: String| captures(lua, &r.0, &s));
        methods.add_method("is_match", |_, r, s: String| r.0.is_match(&s).map_err(failed));
        methods.add_method("find", |_, r, s: String| {
            Ok(r.0.find(&s).map_err(failed)?.map(|m| m.as_str().to_owned()))
        });
        methods.add_method("find_all", |_, r, s: String| {
            r.0.find_iter(&s)
                .map(|m| m.map(|m| m.as_str().to_owned()).map_err(failed))
                .collect::<Result<Vec<_>>>()
        });
        methods.add_method("replace", |_, r, (s, with): (String, String)| {
            Ok(r.0.replace(&s, with.as_str()).into_owned())
        });
        methods.add_method("replace_all", |_, r, (s, with): (String, String)| {
            Ok(r.0.replace_all(&s, with.as_str()).into_owned())
        });
        methods.add_method("replacen", |_, r, (s, n, with): (String, usize, String)| {
            Ok(r.0.replacen(&s, n, with.as_str()).into_owned())
        });
        methods.add_method("split", |_, r, s: String| {
            r.0.split(&s).map(|p| p.map(str::to_owned).map_err(failed)).collect::<Result<Vec<_>>>()
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.regex.compile", "pattern: string", "any", "A regular expression."),
    FnDef::new(
        "kumo.regex.escape",
        "text: string",
        "string",
        "A pattern that matches the text alone.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "compile", |_, pattern: String| {
        Ok(RegexObject(Regex::new(&pattern).map_err(failed)?))
    })?;
    def(lua, &t, "escape", |_, s: String| Ok(fancy_regex::escape(&s).into_owned()))?;
    kumo.set("regex", t)
}

//! `kumo.serde` and its older names directly in `kumo`.

use mlua::{Error, Function, Lua, Result, Table, Value};
use serde_json::Value as Json;

use crate::limits::{MAX_POLICY_FILE_BYTES, MAX_VALUE_DEPTH, MAX_YAML_OPEN};
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_json, to_json};

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.{serde.json_encode,serde.json_encode_pretty,json_encode,json_encode_pretty}", "value: any", "string", "JSON of a value."),
    FnDef::new("kumo.{serde.toml_encode,serde.toml_encode_pretty,serde.toml_encode_pretty_compact,toml_encode,toml_encode_pretty,toml_encode_pretty_compact}", "value: any", "string", "TOML of a value."),
    FnDef::new("kumo.serde.yaml_encode", "value: any", "string", "YAML of a value."),
    FnDef::new("kumo.{serde.json_parse,serde.toml_parse,serde.yaml_parse,json_parse,toml_parse}", "text: string", "any", "The value of a text."),
    FnDef::new("kumo.{serde.json_load,serde.toml_load,serde.yaml_load,json_load,toml_load}", "path: string", "any", "The value of a file."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let serde = lua.create_table()?;
    def(lua, &serde, "json_parse", |lua, s: mlua::String| {
        from_json(lua, &parse_json(&s.to_string_lossy())?)
    })?;
    def(lua, &serde, "json_encode", |_, v: Value| Ok(to_json(&v)?.to_string()))?;
    def(lua, &serde, "json_encode_pretty", |_, v: Value| {
        serde_json::to_string_pretty(&sorted(to_json(&v)?)).map_err(Error::external)
    })?;
    def(lua, &serde, "toml_parse", |lua, s: String| from_json(lua, &parse_toml(&s)?))?;
    def(lua, &serde, "toml_encode", |_, v: Value| encode_toml(&v, false))?;
    def(lua, &serde, "toml_encode_pretty", |_, v: Value| encode_toml(&v, true))?;
    def(lua, &serde, "toml_encode_pretty_compact", |_, v: Value| encode_toml(&v, false))?;
    serde.set("json_load", loader(lua, parse_json)?)?;
    serde.set("toml_load", loader(lua, parse_toml)?)?;
    for pair in serde.pairs::<String, Function>() {
        let (name, f) = pair?;
        kumo.set(name, f)?;
    }
    // These have no older name.
    def(lua, &serde, "yaml_parse", |lua, s: String| from_json(lua, &parse_yaml(&s)?))?;
    def(lua, &serde, "yaml_encode", |_, v: Value| {
        serde_yaml_ng::to_string(&to_json(&v)?)
            .map_err(|e| Error::runtime(format!("encoding as yaml: {e}")))
    })?;
    serde.set("yaml_load", loader(lua, parse_yaml)?)?;
    kumo.set("serde", serde)
}

fn parse_yaml(text: &str) -> Result<Json> {
    let parsed = yaml_shape(text)
        .and_then(|()| serde_yaml_ng::from_str(text).map_err(|e| e.to_string()))
        .and_then(|v| yaml(v, 0));
    parsed.map_err(|e| Error::runtime(format!("parsing {} as yaml: {e}", excerpt(text))))
}

/// Refuses what is nested beyond sense before it is scanned: the scanner looks at all that is open for each token, so a
/// hundred thousand brackets take it many seconds. Brackets inside texts count too, of which none has so many.
fn yaml_shape(text: &str) -> std::result::Result<(), String> {
    let mut open = 0usize;
    for line in text.lines() {
        let mut dashes = 0;
        let mut rest = line.trim_start_matches(' ');
        while let Some(inner) = rest.strip_prefix("- ").or_else(|| rest.strip_prefix("? ")) {
            dashes += 1;
            rest = inner.trim_start_matches(' ');
        }
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open + dashes > MAX_YAML_OPEN {
                return Err("it is nested too deeply".into());
            }
        }
    }
    Ok(())
}

/// JSON of a YAML value: tags are dropped, keys become texts.
fn yaml(v: serde_yaml_ng::Value, depth: usize) -> std::result::Result<Json, String> {
    use serde_yaml_ng::Value as Yaml;
    if depth > MAX_VALUE_DEPTH {
        return Err("it is nested too deeply".into());
    }
    Ok(match v {
        Yaml::Sequence(items) => Json::Array(
            items.into_iter().map(|i| yaml(i, depth + 1)).collect::<std::result::Result<_, _>>()?,
        ),
        Yaml::Mapping(items) => {
            let mut out = serde_json::Map::new();
            for (key, value) in items {
                let key = match key {
                    Yaml::String(s) => s,
                    Yaml::Number(n) => n.to_string(),
                    Yaml::Bool(b) => b.to_string(),
                    _ => return Err("a key must be a text or a number".into()),
                };
                out.insert(key, yaml(value, depth + 1)?);
            }
            Json::Object(out)
        }
        Yaml::Tagged(t) => yaml(t.value, depth + 1)?,
        other => serde_json::to_value(other).map_err(|e| e.to_string())?,
    })
}

fn parse_json(text: &str) -> Result<Json> {
    serde_json::from_str(text)
        .map_err(|e| Error::runtime(format!("parsing {} as json: {e}", excerpt(text))))
}

fn parse_toml(text: &str) -> Result<Json> {
    let v: toml::Value = toml::from_str(text).map_err(|e| {
        Error::runtime(format!("parsing {} as toml: {}", excerpt(text), e.to_string().trim_end()))
    })?;
    serde_json::to_value(v).map_err(Error::external)
}

/// Enough of a text to recognise it by.
fn excerpt(text: &str) -> String {
    const EXCERPT_CHARS: usize = 60;
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((n, _)) => format!("{}...", &text[..n]),
        None => text.to_owned(),
    }
}

fn sorted(v: Json) -> Json {
    match v {
        Json::Object(m) => {
            let mut items: Vec<_> = m.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(items.into_iter().collect())
        }
        Json::Array(a) => Json::Array(a.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn encode_toml(v: &Value, pretty: bool) -> Result<String> {
    let json = strip_nulls(to_json(v)?);
    let out = if pretty { toml::to_string_pretty(&json) } else { toml::to_string(&json) };
    out.map_err(|e| Error::runtime(format!("encoding as toml: {e}")))
}

/// TOML has no null.
fn strip_nulls(v: Json) -> Json {
    match v {
        Json::Object(m) => Json::Object(
            m.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, strip_nulls(v))).collect(),
        ),
        Json::Array(a) => {
            Json::Array(a.into_iter().filter(|v| !v.is_null()).map(strip_nulls).collect())
        }
        other => other,
    }
}

/// Reads a whole file on a helper thread.
pub(super) async fn read_file(lua: &Lua, path: String) -> Result<Vec<u8>> {
    let ctx = vm::ctx(lua)?;
    let name = path.clone();
    let read = ctx.shared.helpers().run(move || -> std::io::Result<Vec<u8>> {
        if std::fs::metadata(&path)?.len() > MAX_POLICY_FILE_BYTES {
            return Err(std::io::Error::other("the file is too large"));
        }
        std::fs::read(&path)
    });
    read.await.map_err(|e| Error::runtime(format!("reading {name}: {e}")))
}

fn loader(lua: &Lua, parse: fn(&str) -> Result<Json>) -> Result<Function> {
    lua.create_async_function(move |lua, path: String| async move {
        let bytes = read_file(&lua, path.clone()).await?;
        let text =
            String::from_utf8(bytes).map_err(|_| Error::runtime(format!("{path} is not UTF-8")))?;
        let json = parse(&text)
            .map_err(|e| Error::runtime(format!("{path}: {}", crate::vm::error::message_of(&e))))?;
        from_json(&lua, &json)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;
    use std::time::{Duration, Instant};

    #[test]
    fn yaml_nested_beyond_sense_is_refused_at_once() {
        let began = Instant::now();
        for bomb in [
            "('{\"a\":'):rep(100000)",
            "('['):rep(100000)",
            "('- '):rep(100000)",
            "('? '):rep(100000)",
        ] {
            let e = eval_err(&format!("kumo.serde.yaml_parse({bomb})"));
            assert!(e.contains("nested too deeply"), "{e}");
        }
        assert!(began.elapsed() < Duration::from_secs(10));
        let fine = "kumo.serde.yaml_parse('a: [[1], {b: 2}]\\nc:\\n- - 3\\n')";
        assert_eq!(eval(&format!("return {fine}")), json!({"a": [[1], {"b": 2}], "c": [[3]]}));
    }
}

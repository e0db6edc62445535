//! Headers into metadata: `import_x_headers`, `remove_x_headers`, `import_headers`.

use mlua::{Error, Result, UserDataFields, Value};
use ringmta_mail::headers::{Field, HeaderBlock};
use ringmta_mail::message::Message;
use ringmta_options::plain::Plain;
use ringmta_options::Patterns;

use super::arguments::names;
use super::body::body_method;
use crate::vm::lua_value::to_plain;

/// `X-Tenant-Id` becomes `x_tenant_id`.
fn meta_key(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_lowercase().replace('-', "_")
}

/// Whether a field is in the list, or an extension header when there is no list.
fn picked(f: &Field, list: Option<&[String]>) -> bool {
    match list {
        Some(list) => list.iter().any(|n| f.is(n)),
        None => f.name.get(..2).is_some_and(|p| p.eq_ignore_ascii_case(b"X-")),
    }
}

pub(crate) fn methods<F: UserDataFields<Message>>(fields: &mut F) {
    body_method(fields, "import_x_headers", |_, m, body, list: Value| {
        let list = names(&list)?;
        for f in HeaderBlock::new(body).fields().filter(|f| picked(f, list.as_deref())) {
            m.set_meta(meta_key(f.name), f.decoded());
        }
        Ok(())
    });
    body_method(fields, "remove_x_headers", |_, m, body, list: Value| {
        let list = names(&list)?;
        if let Some(out) = HeaderBlock::new(body).without(|f| picked(f, list.as_deref())) {
            m.set_body(out.into());
        }
        Ok(())
    });
    body_method(fields, "import_headers", |_, m, body, specs: Value| {
        import(m, body, &to_plain(&specs)?)
    });
}

/// Each spec: `name` (pattern with trailing `*`), `match` = first, last or all, `target` (metadata key), `remove`.
fn import(m: &Message, body: &[u8], specs: &Plain) -> Result<()> {
    let Plain::List(specs) = specs else {
        return Err(Error::runtime("import_headers: expected a list of tables"));
    };
    let block = HeaderBlock::new(body);
    let mut gone: Vec<Patterns> = Vec::new();
    for spec in specs.iter() {
        let text = |k: &str| spec.get(k).and_then(Plain::as_str);
        let name =
            text("name").ok_or_else(|| Error::runtime("import_headers: `name` is missing"))?;
        let pattern = Patterns::new([name]);
        let mut found: Vec<Field> = block.fields().filter(|f| pattern.matches(f.name)).collect();
        match text("match").unwrap_or("last") {
            "first" => {
                found.reverse();
                store(m, &found, text("target"));
            }
            "last" => store(m, &found, text("target")),
            "all" => store_all(m, &found, text("target")),
            other => {
                return Err(Error::runtime(format!(
                "import_headers: unknown variant `{other}`, expected one of `first`, `last`, `all`"
            )))
            }
        }
        if spec.get("remove") == Some(&Plain::Bool(true)) {
            gone.push(pattern);
        }
    }
    if let Some(out) = block.without(|f| gone.iter().any(|p| p.matches(f.name))) {
        m.set_body(out.into());
    }
    Ok(())
}

/// Later fields of one name win.
fn store(m: &Message, found: &[Field], target: Option<&str>) {
    for f in found {
        m.set_meta(target.map(str::to_owned).unwrap_or_else(|| meta_key(f.name)), f.decoded());
    }
}

fn store_all(m: &Message, found: &[Field], target: Option<&str>) {
    let mut by_key = ringmta_mail::message::Meta::new();
    for f in found {
        let key = target.map(str::to_owned).unwrap_or_else(|| meta_key(f.name));
        let list = by_key.entry(key).or_insert_with(|| serde_json::Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(f.decoded().into());
        }
    }
    by_key.into_iter().for_each(|(k, v)| m.set_meta(k, v));
}

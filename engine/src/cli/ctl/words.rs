//! Facts under a title, and values as people write them.

use super::paint::{clean, Paint};
use serde_json::Value;

/// A title, and below it one fact a line, the headings as wide as the longest; what is not known is left out.
pub fn facts(title: &str, facts: &[(&str, String)], paint: Paint) -> String {
    let known: Vec<_> = facts.iter().filter(|(_, text)| !text.is_empty()).collect();
    let width = known.iter().map(|(heading, _)| heading.chars().count()).max().unwrap_or(0);
    let mut lines = vec![paint.bold(title)];
    lines.extend(
        known.iter().map(|(heading, text)| {
            format!("  {}  {text}", paint.dim(&format!("{heading:<width$}")))
        }),
    );
    lines.join("\n")
}

/// A field of text in one line; empty where there is none.
pub fn text(value: &Value, field: &str) -> String {
    clean(value[field].as_str().unwrap_or_default()).replace('\n', " ")
}

/// Texts of a list.
pub fn texts(list: &Value) -> Vec<String> {
    let each = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    each.map(|text| clean(text).replace('\n', " ")).collect()
}

/// A number of something: `1 message`, `3 messages`.
pub fn many(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A moment to the second, in UTC, without the letters between; empty where there is none.
pub fn moment(value: &Value) -> String {
    let text = clean(value.as_str().unwrap_or_default());
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    seconds.replacen('T', " ", 1)
}

/// A duration without what is below a second, unless that is all of it: `59m 58s` of `59m 58s 616ms`.
pub fn rough(duration: &str) -> String {
    let parts: Vec<&str> = duration.split(' ').collect();
    let is_fine = |part: &&str| ["ms", "us", "ns"].iter().any(|unit| part.ends_with(unit));
    let coarse: Vec<&str> = parts.iter().copied().filter(|part| !is_fine(part)).collect();
    match coarse.is_empty() {
        true => clean(parts.first().copied().unwrap_or_default()),
        false => clean(&coarse.join(" ")),
    }
}

/// Octets in the unit that people would take.
pub fn octets(count: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let count = count as f64;
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{count} B"),
    }
}

/// A value of any kind in one line: text without its quotation marks, all else as JSON; empty where nothing is set.
pub fn plain(value: &Value) -> String {
    let is_empty = match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        _ if is_empty => String::new(),
        Value::String(text) => clean(text).replace('\n', " "),
        Value::Array(list) if list.iter().all(Value::is_string) => texts(value).join(", "),
        other => clean(&other.to_string()),
    }
}

/// What is set of a map, `name = value` each.
pub fn pairs(map: &Value) -> String {
    let set: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name, plain(value)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{} = {value}", clean(name)))
        .collect();
    set.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_as_people_write_them() {
        assert_eq!(
            (many(1, "message"), many(0, "message")),
            ("1 message".into(), "0 messages".into())
        );
        assert_eq!(moment(&json!("2026-01-02T03:04:05.678Z")), "2026-01-02 03:04:05");
        assert_eq!(moment(&json!("2026-01-02T03:04:05Z")), "2026-01-02 03:04:05");
        assert_eq!(moment(&Value::Null), "");
        assert_eq!(rough("1h 59m 58s 616ms 12ns"), "1h 59m 58s");
        assert_eq!(rough("12ms 3us"), "12ms");
        assert_eq!(
            [octets(12), octets(735_000), octets(25_276_502_016)],
            ["12 B", "735.0 kB", "25.3 GB"]
        );
        let map = json!({"a": null, "b": {}, "c": ["x", "y"], "d": "t\u{1b}", "e": {"f": 1}});
        assert_eq!(pairs(&map), "c = x, y, d = t\u{fffd}, e = {\"f\":1}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text =
            facts("queue x", &[("trouble", String::new()), ("set by", "a".into())], Paint::none());
        assert_eq!(text, "queue x\n  set by  a");
    }
}

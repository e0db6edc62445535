//! `per_record.template`: the text of a log line made by a template instead of JSON.

use std::collections::BTreeMap;

use minijinja::Environment;
use ringmta_options::classify::normalize;
use ringmta_options::{LogRecordSelect, RecordParams};
use serde_json::Value;

use super::pythonic;

/// A compiled template of a log line.
///
/// It sees the fields of the record, the names of its `headers` in lower case; `log_record` is the record as it would
/// have been written.
pub struct LogTemplate(Environment<'static>);

const NAME: &str = "template";

impl LogTemplate {
    /// Compiles a template; the error says what is wrong with it.
    pub fn new(source: &str) -> Result<LogTemplate, String> {
        let mut env = Environment::new();
        pythonic::add(&mut env);
        env.add_filter("normalize_smtp_response", |s: String| normalize(&s));
        env.add_template_owned(NAME, source.to_owned()).map_err(|e| e.to_string())?;
        Ok(LogTemplate(env))
    }

    /// What is wrong with the text of a template, for [`ringmta_options::Notes::check_template`].
    pub(crate) fn check(source: &str) -> Result<(), String> {
        LogTemplate::new(source).map(drop)
    }

    /// The templates of the record types that have one, by type name; `Any` stands for those without settings.
    pub fn of(select: &LogRecordSelect) -> BTreeMap<String, LogTemplate> {
        let compiled = |(kind, params): (&String, &RecordParams)| {
            // Compiled once before, when the options were read.
            let template = LogTemplate::new(params.template.as_deref()?).ok()?;
            Some((kind.clone(), template))
        };
        select.per_record.iter().filter_map(compiled).collect()
    }

    /// The line of a record, given as its JSON.
    pub fn render(&self, record: &[u8]) -> Result<String, String> {
        let whole: Value = serde_json::from_slice(record).map_err(|e| e.to_string())?;
        let mut context = whole.clone();
        if let Value::Object(fields) = &mut context {
            if let Some(Value::Object(headers)) = fields.get_mut("headers") {
                let named = std::mem::take(headers);
                *headers = named.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect();
            }
            fields.insert("log_record".into(), whole);
        }
        let template = self.0.get_template(NAME).map_err(|e| e.to_string())?;
        template.render(context).map_err(|e| e.to_string())
    }
}

impl std::fmt::Debug for LogTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogTemplate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = br#"{"type":"Bounce","id":"1f","timestamp":20,"created":5,"response":{"code":550,"content":"no <a@b.test>"},"headers":{"X-Foo":"bar"}}"#;

    fn line(source: &str) -> String {
        LogTemplate::new(source).unwrap().render(RECORD).unwrap()
    }

    #[test]
    fn fields_headers_and_the_whole_record() {
        assert_eq!(
            line("{{ type }} {{ id }} code={{ response.code }} age={{ timestamp - created }}"),
            "Bounce 1f code=550 age=15"
        );
        assert_eq!(line("{{ headers['x-foo'] }}|{{ headers['X-Foo'] }}"), "bar|");
        assert_eq!(line("{{ response.content | normalize_smtp_response }}"), "no <{email}>");
        let whole: Value = serde_json::from_str(&line("{{ log_record | tojson }}")).unwrap();
        assert_eq!(whole["headers"]["X-Foo"], "bar");
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(LogTemplate::new("{% if %}").unwrap_err().contains("syntax error"));
        let t = LogTemplate::new("{{ id + [] }}").unwrap();
        assert!(t.render(RECORD).is_err());
        assert!(LogTemplate::new("x").unwrap().render(b"{").is_err());
    }
}

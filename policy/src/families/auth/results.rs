//! Authentication results (RFC 8601): as objects, and as the header.

use ringmta_options::plain::Plain;

use crate::limits::{MAX_RESULT_PROPERTIES, RESULT_REASON_BYTES};

/// The outcome of one method.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AuthResult {
    /// `dkim`, `spf`, ...
    pub method: String,
    /// Version of the method; 1 unless said.
    pub version: Option<i64>,
    /// `pass`, `fail`, ...
    pub result: String,
    /// Why.
    pub reason: Option<String>,
    /// `header.d` and the like, sorted by name.
    pub props: Vec<(String, String)>,
}

impl AuthResult {
    /// A result without properties.
    pub fn new(method: &str, result: &str, reason: impl Into<String>) -> AuthResult {
        let reason = Some(cut(reason.into())).filter(|r| !r.is_empty());
        AuthResult { method: method.into(), result: result.into(), reason, ..Default::default() }
    }

    /// With a property more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> AuthResult {
        self.props.push((name.to_owned(), value.into()));
        self.props.sort();
        self
    }

    /// As a table.
    pub fn to_plain(&self) -> Plain {
        let props = self.props.iter().map(|(k, v)| (k, Plain::str(v)));
        let mut out = vec![
            ("method", Plain::str(&self.method)),
            ("result", Plain::str(&self.result)),
            ("props", Plain::map(props)),
        ];
        out.extend(self.version.map(|v| ("method_version", Plain::Int(v))));
        out.extend(self.reason.as_ref().map(|r| ("reason", Plain::str(r))));
        Plain::map(out)
    }

    /// From a table.
    ///
    /// # Errors
    /// What is missing.
    pub fn from_plain(p: &Plain) -> Result<AuthResult, String> {
        let text = |key: &str| p.get(key).and_then(Plain::as_str).map(str::to_owned);
        let mut props = Vec::new();
        if let Some(Plain::Map(all)) = p.get("props") {
            for (k, v) in all.iter() {
                props.push((k.key_text(), v.as_str().unwrap_or("").to_owned()));
            }
        }
        props.sort();
        Ok(AuthResult {
            method: text("method").ok_or("an authentication result needs `method`")?,
            version: match p.get("method_version") {
                Some(Plain::Int(n)) => Some(*n),
                _ => None,
            },
            result: text("result").ok_or("an authentication result needs `result`")?,
            reason: text("reason"),
            props,
        })
    }
}

/// A reason of bearable length.
fn cut(mut reason: String) -> String {
    if reason.len() > RESULT_REASON_BYTES {
        let end = (0..=RESULT_REASON_BYTES).rev().find(|end| reason.is_char_boundary(*end));
        reason.truncate(end.unwrap_or(0));
        reason.push_str("...");
    }
    reason
}

/// A list of tables, or one.
///
/// # Errors
/// What is missing in one of them.
pub(crate) fn list_from(p: &Plain) -> Result<Vec<AuthResult>, String> {
    match p {
        Plain::List(all) => all.iter().map(AuthResult::from_plain).collect(),
        Plain::Nil => Ok(Vec::new()),
        one => AuthResult::from_plain(one).map(|r| vec![r]),
    }
}

fn value(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-./@^_`{|}~".contains(c);
    match !clean.is_empty() && clean.chars().all(token) {
        true => clean,
        false => format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// The value of an Authentication-Results header.
pub(crate) fn format(server_id: &str, results: &[AuthResult]) -> String {
    let mut out = value(server_id);
    if results.is_empty() {
        out.push_str("; none");
    }
    for r in results {
        out.push_str(&format!("; {}", r.method));
        if let Some(version) = r.version {
            out.push_str(&format!("/{version}"));
        }
        out.push_str(&format!("={}", r.result));
        if let Some(reason) = &r.reason {
            out.push_str(&format!(" reason={}", value(reason)));
        }
        for (name, v) in &r.props {
            // base64 and addresses stand as they are.
            let plain = v.bytes().all(|c| c.is_ascii_graphic() && !b";\"()\\".contains(&c));
            let v = if plain && !v.is_empty() { v.clone() } else { value(v) };
            out.push_str(&format!(" {name}={v}"));
        }
    }
    out
}

/// Words, quoted strings and the marks `;` and `=`; comments are left out.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    let mut depth = 0;
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || depth > 0 => {
                let next = chars.next().unwrap_or('\\');
                if depth == 0 {
                    word.push(next);
                }
            }
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => word.push(c),
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ';' | ' ' | '\t' | '\r' | '\n' => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                if c == ';' {
                    out.push(";".into());
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

/// Reads the value of an Authentication-Results header: `{ serv_id, version?, results }`.
///
/// # Errors
/// A value that is none.
pub(crate) fn parse(text: &str) -> Result<Plain, String> {
    let words = words(text);
    let mut groups = words.split(|w| w == ";");
    let head = groups.next().unwrap_or(&[]);
    let serv_id = head.first().ok_or("the header is empty")?;
    let version = head.get(1).and_then(|v| v.parse().ok());
    let mut results = Vec::new();
    for group in groups.filter(|g| !g.is_empty()) {
        if group.len() == 1 && group[0].eq_ignore_ascii_case("none") {
            continue;
        }
        let (method, result) =
            group[0].split_once('=').ok_or_else(|| format!("`{}` is not a result", group[0]))?;
        let (method, of) = method.split_once('/').unwrap_or((method, ""));
        let mut r = AuthResult::new(&method.to_ascii_lowercase(), &result.to_ascii_lowercase(), "");
        r.version = of.parse().ok();
        if group.len() > MAX_RESULT_PROPERTIES {
            return Err(format!("a result has more than {MAX_RESULT_PROPERTIES} properties"));
        }
        for pair in &group[1..] {
            match pair.split_once('=') {
                Some(("reason", v)) => r.reason = Some(v.to_owned()),
                Some((name, v)) => r = r.with(name, v),
                None => return Err(format!("`{pair}` is not a property")),
            }
        }
        results.push(r.to_plain());
    }
    let mut out = vec![("serv_id", Plain::str(serv_id)), ("results", Plain::list(results))];
    out.extend(version.map(|v| ("version", Plain::Int(v))));
    Ok(Plain::map(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_results_read_back() {
        let all = [
            AuthResult::new("dkim", "pass", "")
                .with("header.d", "a.test")
                .with("header.b", "ab/+=="),
            AuthResult::new("spf", "fail", "no (really) \"not\"").with("smtp.mailfrom", "x@a.test"),
        ];
        let text = format("mx.test", &all);
        let back = parse(&text).unwrap();
        assert_eq!(back.get("serv_id"), Some(&Plain::str("mx.test")));
        assert_eq!(list_from(back.get("results").unwrap()).unwrap(), all);
        assert_eq!(format("mx.test", &[]), "mx.test; none");
        let rfc = "example.com 1; auth=pass (cram-md5) smtp.auth=sender@example.com; spf=pass smtp.mailfrom=example.com";
        assert_eq!(
            parse(rfc).unwrap().get("results").and_then(|r| list_from(r).ok()).unwrap().len(),
            2
        );
        assert!(parse("").is_err() && parse("x; y").is_err());
        let long = AuthResult::new("spf", "permerror", "\u{fffd}".repeat(10_000));
        assert!(format("mx.test", &[long]).len() < RESULT_REASON_BYTES + 100);
    }
}

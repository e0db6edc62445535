//! Bodies of HTML forms.

use mlua::{Result, Table};

/// Percent-encodes for application/x-www-form-urlencoded and for queries.
fn percent(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(*b as char)
            }
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// The pairs of a table as a query or form, sorted.
pub(super) fn form(table: &Table) -> Result<String> {
    let mut pairs = Vec::new();
    for pair in table.pairs::<mlua::String, mlua::String>() {
        let (k, v) = pair?;
        pairs.push(format!("{}={}", percent(&k.as_bytes()), percent(&v.as_bytes())));
    }
    pairs.sort();
    Ok(pairs.join("&"))
}

/// The parts of a form (RFC 7578), sorted by name.
pub(super) fn multipart(table: &Table, boundary: &str) -> Result<Vec<u8>> {
    let mut parts = Vec::new();
    for pair in table.pairs::<String, mlua::String>() {
        let (name, value) = pair?;
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        parts.push((name, value.as_bytes().to_vec()));
    }
    parts.sort();
    let mut out = Vec::new();
    for (name, value) in parts {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(out)
}

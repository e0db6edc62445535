//! Lists of `name=value` pairs between semicolons (RFC 6376 section 3.2).

use crate::limits::MAX_TAGS;

/// Tags in order.
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// Reads a list. White space around names and values goes.
    ///
    /// # Errors
    /// A piece without `=`, a tag that comes twice, or more tags than there can be a use for.
    pub fn parse(text: &str) -> Result<Tags, String> {
        let mut out: Vec<(String, String)> = Vec::new();
        for piece in text.split(';').filter(|p| !p.trim().is_empty()) {
            let (name, value) =
                piece.split_once('=').ok_or_else(|| format!("`{}` is not a tag", piece.trim()))?;
            let name = name.trim();
            if out.len() >= MAX_TAGS {
                return Err(format!("there are more than {MAX_TAGS} tags"));
            }
            if out.iter().any(|(n, _)| n == name) {
                return Err(format!("tag {name} comes twice"));
            }
            out.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Tags(out))
    }

    /// A value, white space inside kept.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A value without any white space.
    pub fn packed(&self, name: &str) -> Option<String> {
        self.get(name).map(|v| v.split_ascii_whitespace().collect())
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub fn need(&self, name: &str) -> Result<String, String> {
        self.packed(name).filter(|v| !v.is_empty()).ok_or_else(|| format!("tag {name} is missing"))
    }
}

/// The raw value of a field with the value of its tag `b` taken out, as it is signed (RFC 6376 section 3.7).
pub(crate) fn without_b(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for (n, piece) in raw.split(|c| *c == b';').enumerate() {
        if n > 0 {
            out.push(b';');
        }
        let equals = piece.iter().position(|c| *c == b'=');
        match equals.filter(|at| piece[..*at].trim_ascii() == b"b") {
            Some(at) => out.extend_from_slice(&piece[..=at]),
            None => out.extend_from_slice(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let t = Tags::parse(" v=1; b = a b\r\n c ;h=x;").unwrap();
        assert_eq!(
            (t.get("v"), t.packed("b").as_deref(), t.need("z").is_err()),
            (Some("1"), Some("abc"), true)
        );
        assert!(Tags::parse("a=1; a=2").is_err() && Tags::parse("x").is_err());
        let many = |n: usize| (0..n).map(|n| format!("t{n}=x;")).collect::<String>();
        assert!(Tags::parse(&many(MAX_TAGS)).is_ok() && Tags::parse(&many(MAX_TAGS + 1)).is_err());
        assert_eq!(without_b(b" bh=q=; b=ab=\r\n c; s=b"), b" bh=q=; b=; s=b");
    }
}

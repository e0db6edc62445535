//! Message contents rendered once: everything of a message that does not change from one to the next.

use crate::{limits, rng};
use anyhow::{bail, Context, Result};
use std::path::Path;
use std::sync::Arc;

/// A message on the wire from behind its own header fields to the final dot.
#[derive(Debug, Clone)]
pub struct Content {
    /// Header fields, empty line, body, final dot; dot-stuffed.
    pub bytes: Arc<[u8]>,
    /// Whether it holds bytes above 127.
    pub eight_bit: bool,
    /// Whether From, To, Date and the like are in it already.
    pub has_headers: bool,
}

const WORDS: [&str; 32] = [
    "delivery",
    "order",
    "the",
    "your",
    "account",
    "will",
    "arrive",
    "on",
    "Monday",
    "we",
    "thank",
    "you",
    "for",
    "confirming",
    "a",
    "change",
    "to",
    "subscription",
    "please",
    "find",
    "attached",
    "invoice",
    "number",
    "with",
    "regards",
    "from",
    "our",
    "team",
    "in",
    "case",
    "of",
    "questions",
];

/// A generated message whose body has exactly `size` bytes, always the same for a seed.
#[must_use]
pub fn generate(size: usize, seed: u64, from: &str) -> Content {
    let mut bytes = format!(
        "From: Load Generator <{from}>\r\nSubject: Your order has been confirmed ({size} bytes)\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    )
    .into_bytes();
    let end = bytes.len() + size;
    let mut counter = 0;
    while bytes.len() < end {
        text_line(&mut bytes, end, seed, &mut counter);
    }
    // A body that does not end a line gets one from the final dot, as a message cannot end without.
    let dot: &[u8] = if bytes.ends_with(b"\r\n") { b".\r\n" } else { b"\r\n.\r\n" };
    bytes.extend_from_slice(dot);
    Content { bytes: bytes.into(), eight_bit: false, has_headers: false }
}

/// Appends a line of words with its line end, so that `end` is hit exactly.
fn text_line(bytes: &mut Vec<u8>, end: usize, seed: u64, counter: &mut u64) {
    // Room for text such that neither a lone CR nor a lone LF remains for the next line.
    let left = end - bytes.len();
    let room = match left {
        0..=2 => 0,
        _ if left <= limits::BODY_LINE_CHARS + 2 => left - 2,
        _ => limits::BODY_LINE_CHARS.min(left - 4),
    };
    let start = bytes.len();
    while bytes.len() - start < room {
        let draw = rng::draw(seed, *counter);
        *counter += 1;
        let word = WORDS[rng::below(draw, WORDS.len() as u64) as usize];
        if bytes.len() > start {
            bytes.push(b' ');
        }
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.truncate(start + room);
    if bytes.last() == Some(&b' ') {
        // A trailing blank is what servers like to change.
        bytes.pop();
        bytes.push(b'.');
    }
    match left {
        1 => bytes.push(b'x'),
        _ => bytes.extend_from_slice(b"\r\n"),
    }
}

/// Reads every `.eml` file of a folder, in the order of their names.
///
/// # Errors
/// When the folder or a file cannot be read, or there is none.
pub fn read_folder(folder: &Path) -> Result<Vec<Content>> {
    let context = || format!("cannot read folder {}", folder.display());
    let mut paths = Vec::new();
    for item in std::fs::read_dir(folder).with_context(context)? {
        let path = item.with_context(context)?.path();
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eml")) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        bail!("no .eml file in {}", folder.display());
    }
    let read = |path: &std::path::PathBuf| {
        let raw = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Content {
            eight_bit: !raw.is_ascii(),
            bytes: on_the_wire(&raw).into(),
            has_headers: true,
        })
    };
    paths.iter().map(read).collect()
}

/// A message as SMTP carries it: CRLF line ends only, leading dots doubled, the final dot at its end.
#[must_use]
pub fn on_the_wire(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len() + raw.len() / 32 + 8);
    let mut rest = raw;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        if line.first() == Some(&b'.') {
            bytes.push(b'.');
        }
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
        // A lone CR ends a line here too: on the wire it would be an error.
        rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..)).unwrap_or_default();
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_bodies_have_the_size_asked_for() {
        for size in (0..400).chain([1024, 10_240, 65_536]) {
            let content = generate(size, 1, "a@b.example");
            let text = String::from_utf8(content.bytes.to_vec()).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            let body = body.strip_suffix(".\r\n").unwrap();
            let body = if body.len() == size { body } else { body.strip_suffix("\r\n").unwrap() };
            assert_eq!(body.len(), size);
            for line in body.split("\r\n") {
                assert!(line.len() <= limits::BODY_LINE_CHARS, "{size}: {line:?}");
                assert!(!line.starts_with('.') && !line.contains(['\r', '\n']), "{size}: {line:?}");
            }
        }
    }

    #[test]
    fn generated_bodies_repeat_for_a_seed() {
        assert_eq!(generate(5_000, 1, "a@b").bytes, generate(5_000, 1, "a@b").bytes);
        assert_ne!(generate(5_000, 1, "a@b").bytes, generate(5_000, 2, "a@b").bytes);
    }

    #[test]
    fn dots_are_doubled_and_lines_ended() {
        assert_eq!(on_the_wire(b"a\n.b\n..\n.\n"), b"a\r\n..b\r\n...\r\n..\r\n.\r\n");
        assert_eq!(on_the_wire(b"a\r\n.b"), b"a\r\n..b\r\n.\r\n");
        assert_eq!(on_the_wire(b"a\rb\r\r\n"), b"a\r\nb\r\n\r\n.\r\n");
        assert_eq!(on_the_wire(b""), b".\r\n");
        assert_eq!(on_the_wire(b"\n"), b"\r\n.\r\n");
    }

    #[test]
    fn folders_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.eml"), "Subject: b\n\nx").unwrap();
        std::fs::write(folder.path().join("a.EML"), "Subject: a\n\n\u{e9}").unwrap();
        std::fs::write(folder.path().join("note.txt"), "no").unwrap();
        let contents = read_folder(folder.path()).unwrap();
        assert_eq!(contents.len(), 2);
        assert!(contents[0].eight_bit && !contents[1].eight_bit);
        assert!(read_folder(tempfile::tempdir().unwrap().path()).is_err());
    }
}

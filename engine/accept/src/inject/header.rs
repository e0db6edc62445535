//! Header fields made of what a caller gives (RFC 5322, RFC 2047, RFC 2231).

use std::fmt::Write;

/// Longest line that is made, CRLF not counted (RFC 5322 section 2.1.1).
const LINE_WISHED: usize = 78;
/// Longest line that may be sent.
const LINE_LONGEST: usize = 998;
/// Bytes of UTF-8 in one encoded word: at most 75 characters with all of them escaped (RFC 2047 section 2).
const WORD_BYTES: usize = 20;

/// A value that goes into a header must not bring another line with it.
///
/// # Errors
/// Names the field.
pub fn one_line(field: &str, text: &str) -> Result<String, String> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(format!("{field}: must be a single line"));
    }
    Ok(text.to_string())
}

/// Whether `name` may be a field's name (RFC 5322 section 2.2).
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Appends a field, folded at blanks.
///
/// # Errors
/// A word that fits no line.
pub fn push(out: &mut String, name: &str, value: &str) -> Result<(), String> {
    let _ = write!(out, "{name}:");
    let mut width = name.len() + 1;
    for (at, word) in value.trim().split(' ').enumerate() {
        if word.len() + 1 > LINE_LONGEST {
            return Err(format!("headers.{name}: a word is longer than a line may be"));
        }
        let limit = if at == 0 { LINE_LONGEST } else { LINE_WISHED };
        // A line of nothing but blanks would end the header for some readers.
        if !word.is_empty() && width + 1 + word.len() > limit {
            out.push_str("\r\n");
            width = 0;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.len();
    }
    out.push_str("\r\n");
    Ok(())
}

/// Text of an unstructured field: encoded words where it is not printable ASCII, or would be taken for one.
pub fn text(value: &str) -> String {
    let plain = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    if plain(value) && !value.contains("=?") {
        return value.to_string();
    }
    words(value)
}

/// Encoded words of `value`, parted by blanks that readers drop.
fn words(value: &str) -> String {
    let mut out = String::new();
    let mut chunk = String::new();
    for c in value.chars() {
        if chunk.len() + c.len_utf8() > WORD_BYTES {
            word(&mut out, &chunk);
            chunk.clear();
        }
        chunk.push(c);
    }
    word(&mut out, &chunk);
    out
}

fn word(out: &mut String, chunk: &str) {
    if chunk.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str("=?UTF-8?Q?");
    for byte in chunk.bytes() {
        match byte {
            b' ' => out.push('_'),
            // What may stand in a word of a phrase (RFC 2047 section 5, rule 3).
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'*' | b'+' | b'-' | b'/' => {
                out.push(char::from(byte));
            }
            _ => drop(write!(out, "={byte:02X}")),
        }
    }
    out.push_str("?=");
}

/// A display name: as it is, quoted, or as encoded words, which never stand in quotes.
pub fn phrase(name: &str) -> String {
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~ ".contains(&b);
    if !name.is_ascii() || name.bytes().any(|b| b < b' ' || b == 0x7f) || name.contains("=?") {
        return words(name);
    }
    // Blanks between atoms count once (RFC 5322 section 3.2.2).
    if name.bytes().all(atom) && !name.contains("  ") {
        return name.to_string();
    }
    quoted(name)
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A mailbox.
pub fn mailbox(name: Option<&str>, email: &str) -> String {
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => format!("{} <{email}>", phrase(name)),
        None => format!("<{email}>"),
    }
}

/// Fields whose value is a list of mailboxes.
pub fn holds_addresses(name: &str) -> bool {
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Resent-From", "Resent-To", "Resent-Cc"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// A list of mailboxes a caller wrote: as it is where it is ASCII; else its names are encoded and its addresses kept.
pub fn addresses(value: &str) -> String {
    if value.is_ascii() {
        return value.to_string();
    }
    let boxes = split_list(value);
    let encoded = boxes.iter().map(|one| match one.rsplit_once('<') {
        Some((name, rest)) if rest.ends_with('>') => {
            let name = unquoted(name.trim());
            mailbox(Some(&name), rest.trim_end_matches('>'))
        }
        _ => one.to_string(),
    });
    encoded.collect::<Vec<_>>().join(", ")
}

/// At commas that stand neither in quotes nor in an address.
fn split_list(value: &str) -> Vec<&str> {
    let (mut quoted, mut escaped, mut angle, mut from) = (false, false, false, 0);
    let mut out = Vec::new();
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                out.push(value[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(value[from..].trim());
    out.retain(|one| !one.is_empty());
    out
}

fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return name.to_string();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

/// A parameter of Content-Type or Content-Disposition, with the semicolon in front: quoted, or in the form of RFC 2231
/// where it is long, not ASCII, or would be taken for an encoded word, which many readers look for in quotes too.
pub fn parameter(name: &str, value: &str) -> String {
    const PIECE: usize = 45;
    let plain = value.bytes().all(|b| matches!(b, b' '..=b'~')) && !value.contains("=?");
    if plain && value.len() <= PIECE {
        return format!("; {name}={}", quoted(value));
    }
    let mut pieces = vec![String::from("utf-8''")];
    for c in value.chars() {
        let mut bytes = [0; 4];
        let mut escaped = String::new();
        for byte in c.encode_utf8(&mut bytes).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(char::from(byte));
                }
                _ => drop(write!(escaped, "%{byte:02X}")),
            }
        }
        match pieces.last_mut() {
            Some(piece) if piece.len() + escaped.len() <= PIECE => piece.push_str(&escaped),
            _ => pieces.push(escaped),
        }
    }
    if let [one] = &pieces[..] {
        return format!("; {name}*={one}");
    }
    let numbered = pieces.iter().enumerate();
    numbered.map(|(at, piece)| format!("; {name}*{at}*={piece}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders};

    fn parsed(name: &str, value: &str) -> mail_parser::Message<'static> {
        let mut out = String::new();
        push(&mut out, name, value).unwrap();
        assert!(out.is_ascii(), "{out}");
        assert!(out.lines().all(|line| line.len() <= 998), "{out}");
        out.push_str("\r\nx\r\n");
        MessageParser::new().parse(&out).unwrap().into_owned()
    }

    #[test]
    fn display_names_come_back_as_they_were() {
        let long = "ö".repeat(300);
        for name in
            ["A", "Doe, John", "a \"b\" c\\", "Zoë", "=?utf-8?q?x?=", "x@y", &long, "日本 語"]
        {
            let message = parsed("From", &mailbox(Some(name), "a@b.test"));
            let found = message.from().unwrap().first().unwrap();
            assert_eq!(found.name(), Some(name));
            assert_eq!(found.address(), Some("a@b.test"));
        }
        assert!(!mailbox(Some("Zoë"), "a@b.test").contains('"'));
    }

    #[test]
    fn subjects_come_back_as_they_were() {
        let long = "größer ".repeat(60);
        for text_in in ["plain", "Größe", "=?utf-8?q?x?=", long.trim_end()] {
            assert_eq!(parsed("Subject", &text(text_in)).subject(), Some(text_in));
        }
    }

    #[test]
    fn lists_of_addresses_keep_their_addresses() {
        let given = "\"Zoë, the \\\"best\\\"\" <z@b.test>, plain@b.test, Ö <o@b.test>";
        let message = parsed("To", &addresses(given));
        let to: Vec<_> = message.to().unwrap().iter().map(|a| (a.name(), a.address())).collect();
        assert_eq!(
            to,
            [
                (Some("Zoë, the \"best\""), Some("z@b.test")),
                (None, Some("plain@b.test")),
                (Some("Ö"), Some("o@b.test")),
            ]
        );
        assert_eq!(addresses("A <a@b.test>"), "A <a@b.test>");
    }

    #[test]
    fn file_names_come_back_as_they_were() {
        let long = "Prüfbericht ".repeat(20) + ".pdf";
        for name in
            ["a.bin", "=?utf-8?q?x?=", "a \"b\" \\c.txt", "größe.pdf", &long, &"x".repeat(300)]
        {
            let value = format!("attachment{}", parameter("filename", name));
            let mut raw = String::from("Content-Type: a/b\r\n");
            push(&mut raw, "Content-Disposition", &value).unwrap();
            raw.push_str("\r\nx\r\n");
            let message = MessageParser::new().parse(&raw).unwrap();
            assert_eq!(message.attachment_name(), Some(name), "{raw}");
        }
    }

    #[test]
    fn no_word_is_longer_than_a_line() {
        let mut out = String::new();
        assert!(push(&mut out, "X-A", &"x".repeat(2000)).is_err());
    }
}

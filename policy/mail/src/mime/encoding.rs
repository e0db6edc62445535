//! Transfer encodings and charsets of contents (RFC 2045 section 6).

use data_encoding::BASE64;

use super::fields::Params;

/// The content of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text in UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// Text when the bytes are UTF-8.
    pub fn guess(bytes: &[u8]) -> Content {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.to_owned()),
            Err(_) => Content::Bytes(bytes.to_vec()),
        }
    }

    /// The bytes of either.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Content::Text(t) => t.as_bytes(),
            Content::Bytes(b) => b,
        }
    }
}

/// Longest line of 7bit and quoted-printable content that is left as it is (RFC 5322 section 2.1.1 asks for 78, allows 998).
const MAX_LINE_BYTES: usize = 998;
/// Longest line written by quoted-printable (RFC 2045 section 6.7) and base64.
const ENCODED_LINE_BYTES: usize = 76;

/// Undoes the transfer encoding, and for texts the charset. What cannot be decoded is kept as well as it can be.
pub fn decode(raw: &[u8], encoding: &str, kind: &Params) -> Content {
    let bytes = transfer_decoded(raw, encoding);
    if !kind.value.starts_with("text/") {
        return Content::Bytes(bytes);
    }
    let label = kind.get("charset").unwrap_or("utf-8");
    let charset = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::UTF_8);
    Content::Text(charset.decode_without_bom_handling(&bytes).0.into_owned())
}

/// Undoes the transfer encoding alone.
pub(super) fn transfer_decoded(raw: &[u8], encoding: &str) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => {
            let digits: Vec<u8> = raw
                .iter()
                .copied()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
                .collect();
            let whole = &digits[..digits.len() - usize::from(digits.len() % 4 == 1)];
            data_encoding::BASE64_NOPAD.decode(whole).unwrap_or_else(|_| lenient(whole))
        }
        "quoted-printable" => unquote(raw),
        _ => raw.to_vec(),
    }
}

/// Base64 whose last digit has bits that should be 0.
fn lenient(digits: &[u8]) -> Vec<u8> {
    let mut spec = data_encoding::BASE64_NOPAD.specification();
    spec.check_trailing_bits = false;
    spec.encoding().ok().and_then(|e| e.decode(digits).ok()).unwrap_or_default()
}

fn unquote(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for line in raw.split_inclusive(|c| *c == b'\n') {
        let end_len = match line {
            [.., b'\r', b'\n'] => 2,
            [.., b'\n'] => 1,
            _ => 0,
        };
        let (text, end) = line.split_at(line.len() - end_len);
        let text = text.trim_ascii_end();
        let mut at = 0;
        let mut soft = false;
        while at < text.len() {
            let hex = text
                .get(at + 1..at + 3)
                .and_then(|h| data_encoding::HEXUPPER_PERMISSIVE.decode(h).ok());
            match (text[at], hex) {
                (b'=', Some(byte)) => {
                    out.extend(byte);
                    at += 3;
                }
                (b'=', None) if at + 1 == text.len() => {
                    soft = true;
                    at += 1;
                }
                (c, _) => {
                    out.push(c);
                    at += 1;
                }
            }
        }
        if !soft {
            out.extend_from_slice(end);
        }
    }
    out
}

/// Encodes content for the wire; the parameters get the charset of a text. Returns the name of the encoding when one is needed.
pub(super) fn encode(content: &Content, kind: &mut Params) -> (Vec<u8>, Option<&'static str>) {
    let bytes = content.bytes();
    let is_text = kind.value.starts_with("text/");
    match content {
        Content::Text(text) if is_text => {
            let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
            if !text.is_ascii() || kind.get("charset").is_none() {
                kind.set("charset", charset);
            }
            if is_plain(bytes) {
                return (bytes.to_vec(), None);
            }
            (quote(bytes), Some("quoted-printable"))
        }
        _ if is_plain(bytes) && kind.value.starts_with("message/") => (bytes.to_vec(), None),
        _ => (fold_base64(bytes), Some("base64")),
    }
}

/// Whether content may travel as 7bit.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let lines = || bytes.split(|c| *c == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    bytes.is_ascii()
        && lines().all(|l| l.len() <= MAX_LINE_BYTES && !l.contains(&b'\r') && !l.contains(&0))
        && bytes.iter().enumerate().all(|(n, c)| *c != b'\n' || (n > 0 && bytes[n - 1] == b'\r'))
}

pub(super) fn fold_base64(bytes: &[u8]) -> Vec<u8> {
    let text = BASE64.encode(bytes);
    let mut out = Vec::with_capacity(text.len() + text.len() / 38);
    for line in text.as_bytes().chunks(ENCODED_LINE_BYTES) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Quoted-printable; line ends of any kind become CRLF.
pub(super) fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let mut lines = bytes.split(|c| *c == b'\n').peekable();
    while let Some(line) = lines.next() {
        let has_end = lines.peek().is_some();
        let line = if has_end { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let mut column = 0;
        for (n, c) in line.iter().enumerate() {
            let last = n + 1 == line.len();
            let as_is =
                matches!(c, b'!'..=b'<' | b'>'..=b'~') || (matches!(c, b' ' | b'\t') && !last);
            let width = if as_is { 1 } else { 3 };
            if column + width > ENCODED_LINE_BYTES - 1 {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            match as_is {
                true => out.push(*c),
                false => out.extend_from_slice(format!("={c:02X}").as_bytes()),
            }
            column += width;
        }
        if has_end {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

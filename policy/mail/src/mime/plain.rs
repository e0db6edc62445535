//! A message made fit for every transport: nothing but ASCII in lines of at most 998 characters (RFC 5322 section
//! 2.1.1, RFC 2045). What is fit already stays byte for byte as it was, so that its signatures hold.

use super::encoding::{fold_base64, is_plain, quote, transfer_decoded};
use super::fields::{addresses, format_addresses, Params};
use super::part::{Body, Part, RawField};
use crate::headers::{encode_value, write_field};

/// Longest line without its end.
const MAX_LINE_BYTES: usize = 998;
/// Fields that are lists of addresses.
const ADDRESSES: [&str; 9] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-To",
    "Disposition-Notification-To",
];

impl Part {
    /// Makes the part and all within it plain. What cannot be (an address with other than ASCII in front of its `@`)
    /// stays.
    pub fn make_plain(&self) {
        self.fields(|all| all.iter_mut().for_each(plain_field));
        let kind = self.content_type();
        let mut inner = self.0.borrow_mut();
        match &mut inner.body {
            Body::Parts { before, parts, after } => {
                parts.iter().for_each(Part::make_plain);
                // Nobody is shown what stands around the parts.
                for around in [before, after] {
                    if !is_plain(around) {
                        around.clear();
                    }
                }
                drop(inner);
                self.relabel("7bit");
                // Neither can be encoded: the one is a token, the other stands in lines of its own.
                let boundary = kind.get("boundary").unwrap_or_default();
                if !kind.value.is_ascii() || !boundary.is_ascii() {
                    self.mend_container();
                }
            }
            Body::Leaf(raw) if is_plain(raw) => {}
            // Such a part must not be encoded, only what is in it (RFC 2046 section 5.2.1).
            Body::Leaf(raw) if kind.value == "message/rfc822" => {
                let Ok(within) = Part::parse(raw) else { return };
                within.make_plain();
                *raw = within.write();
                drop(inner);
                self.relabel("7bit");
            }
            Body::Leaf(raw) => {
                let raw = std::mem::take(raw);
                drop(inner);
                self.encode(&raw, kind);
            }
        }
    }

    /// Encodes a content that stays what it is: no charset is changed.
    fn encode(&self, raw: &[u8], mut kind: Params) {
        let given = self.first("Content-Transfer-Encoding").map(|f| f.text()).unwrap_or_default();
        let bytes = transfer_decoded(raw, &given);
        let is_text =
            kind.value.starts_with("text/") && !given.trim().eq_ignore_ascii_case("base64");
        let (encoded, encoding) = match is_text {
            true => (quote(&bytes), "quoted-printable"),
            false => (fold_base64(&bytes), "base64"),
        };
        let named = kind.get("charset").is_some_and(|name| !name.eq_ignore_ascii_case("us-ascii"));
        if is_text && !named && !bytes.is_ascii() {
            // RFC 1428 section 3 has a name for what is not known.
            let is_utf8 = std::str::from_utf8(&bytes).is_ok();
            kind.set("charset", if is_utf8 { "utf-8" } else { "unknown-8bit" });
            let raw = write_field("Content-Type", &kind.to_string());
            self.set(RawField { name: "Content-Type".into(), raw });
        }
        self.set(RawField::new("Content-Transfer-Encoding", encoding));
        self.0.borrow_mut().body = Body::Leaf(encoded);
    }

    /// A part that holds others and said they had 8 bits says what they have now.
    pub(super) fn relabel(&self, encoding: &str) {
        if self.first("Content-Transfer-Encoding").is_some() {
            self.set(RawField::new("Content-Transfer-Encoding", encoding));
        }
    }
}

fn plain_field(field: &mut RawField) {
    let long = field.raw.split(|c| *c == b'\n').any(|line| line.len() > MAX_LINE_BYTES + 1);
    if field.raw.is_ascii() && !long {
        return;
    }
    let name = field.name.clone();
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    let unfolded = crate::headers::unfold(field.raw_value()).trim().to_owned();
    let value = if field.raw.is_ascii() {
        // Its words are encoded already: it only has to be folded.
        unfolded
    } else if is(&ADDRESSES) {
        match addresses(&unfolded) {
            Ok(list) if !list.is_empty() => format_addresses(&list),
            _ => return,
        }
    } else if is(&["Content-Type", "Content-Disposition"]) {
        Params::parse(&unfolded).to_string()
    } else {
        encode_value(&field.text()).into_owned()
    };
    if value.is_ascii() {
        field.raw = write_field(&name, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::Content;

    fn plain(message: &[u8]) -> (Part, Vec<u8>) {
        let root = Part::parse(message).unwrap();
        root.make_plain();
        let written = root.write();
        let again = Part::parse(&written).unwrap();
        (again, written)
    }

    fn is_fit(written: &[u8]) -> bool {
        written.is_ascii()
            && written.split(|c| *c == b'\n').all(|line| line.len() <= MAX_LINE_BYTES + 1)
    }

    #[test]
    fn what_is_fit_stays_as_it_was() {
        let message = b"Subject:  odd   blanks\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x\r\nContent-Type: Application/JSON\r\n\r\n{}\r\n--x--\r\npost\r\n";
        assert_eq!(plain(message).1, message);
    }

    #[test]
    fn every_part_is_encoded_and_reads_as_before() {
        let message = "From: J\u{f6}rg <j@a.test>, \"B, \u{e9}\" <b@a.test>\r\nSubject: gr\u{fc}n\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nvor\u{e4}b\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\ngr\u{fc}n\r\n--x\r\nContent-Type: application/pdf; name=\"\u{fc}.pdf\"\r\n\r\n\u{e4}\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inn\u{e9}r\r\n\r\nin\u{e9}n\r\n--x--\r\n";
        let (root, written) = plain(message.as_bytes());
        assert!(is_fit(&written), "{}", String::from_utf8_lossy(&written));
        assert_eq!(root.first("Subject").unwrap().text(), "gr\u{fc}n");
        let from = addresses(std::str::from_utf8(root.first("From").unwrap().raw_value()).unwrap())
            .unwrap();
        assert_eq!(from.len(), 2, "{from:?}");
        assert_eq!(root.first("Content-Transfer-Encoding").unwrap().text(), "7bit");
        let parts = root.parts();
        assert_eq!(parts[0].content(), Content::Text("gr\u{fc}n".into()));
        assert_eq!(parts[1].content(), Content::Bytes("\u{e4}".into()));
        assert_eq!(parts[1].content_type().get("name"), Some("\u{fc}.pdf"));
        let Content::Bytes(within) = parts[2].content() else { panic!() };
        let within = Part::parse(&within).unwrap();
        assert_eq!(within.first("Subject").unwrap().text(), "inn\u{e9}r");
        assert_eq!(within.content(), Content::Text("in\u{e9}n".into()));
    }

    #[test]
    fn no_byte_of_a_text_in_another_charset_is_lost() {
        let (root, written) =
            plain(b"Content-Type: text/plain; charset=iso-8859-2\r\n\r\n\xb1\xea\r\n");
        assert!(is_fit(&written));
        assert_eq!(root.content(), Content::Text("\u{105}\u{119}\r\n".into()));
        let (root, written) = plain(b"Subject: x\r\n\r\n\xff\xfe\r\n");
        assert!(is_fit(&written));
        assert_eq!(root.content_type().get("charset"), Some("unknown-8bit"));
        assert!(written.ends_with(b"=FF=FE\r\n"));
    }

    #[test]
    fn long_lines_are_broken_without_a_change() {
        let long = "a b ".repeat(500);
        let message = format!("Subject: {long}\r\n\r\n{long}\r\n");
        let (root, written) = plain(message.as_bytes());
        assert!(is_fit(&written));
        assert_eq!(root.content(), Content::Text(format!("{long}\r\n")));
        assert_eq!(root.first("Subject").unwrap().text(), long.trim());
    }
}

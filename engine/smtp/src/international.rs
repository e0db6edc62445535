//! Messages that need SMTPUTF8 of a next hop (RFC 6531 sections 3.4 to 3.6).

use ringmta_mail::{EnvelopeAddress, Message};

/// Metadata of a message whose client sent it with SMTPUTF8.
pub const SMTPUTF8: &str = "smtputf8";

/// Whether `message` may go only to a next hop that offers SMTPUTF8: an address of it has no ASCII form, or it was sent with
/// SMTPUTF8 and a header field is not. One that was sent so and needs none of it goes as any other.
pub fn needs_smtputf8(message: &Message) -> bool {
    let ascii = |address: &EnvelopeAddress| address.to_ascii().is_some();
    if !ascii(&message.sender()) || !message.with_recipients(|to| to.iter().all(ascii)) {
        return true;
    }
    let flagged = message.meta(|meta| meta.get(SMTPUTF8).is_some_and(|flag| flag == true));
    flagged && message.body().is_some_and(|body| !header_of(&body).is_ascii())
}

fn header_of(body: &[u8]) -> &[u8] {
    memchr::memmem::find(body, b"\r\n\r\n").map_or(body, |end| &body[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_mail::Meta;
    use std::rc::Rc;

    #[test]
    fn what_needs_it() {
        let needs = |from: &str, flagged: bool, body: &str| {
            let mut meta = Meta::new();
            if flagged {
                meta.insert(SMTPUTF8.into(), true.into());
            }
            let (id, _) = crate::ids::IdSource::new(0).next();
            let to = vec![EnvelopeAddress::parse("u@d.test").unwrap()];
            let from = EnvelopeAddress::parse(from).unwrap();
            let body = Rc::new(body.as_bytes().to_vec());
            needs_smtputf8(&Message::new(id, from, to, meta, body))
        };
        let (plain, header) = ("Subject: x\r\n\r\n\u{fc}\r\n", "Subject: \u{fc}\r\n\r\nx\r\n");
        assert!(!needs("a@b.test", false, plain));
        assert!(!needs("a@b.test", true, plain), "only the text is not ASCII");
        assert!(needs("a@b.test", true, header));
        assert!(!needs("a@b.test", false, header), "8BITMIME is all it asked for");
        assert!(needs("\u{fc}@b.test", false, plain));
        assert!(!needs("a@\u{fc}.test", false, plain), "its domain has an ASCII form");
    }
}

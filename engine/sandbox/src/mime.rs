//! The MIME tree of a message: bodies, attachments, and one part's bytes by its id.

use crate::heads;
use crate::html_text::text_of;
use crate::limits::{SANDBOX_LISTED_TEXT_BYTES, SANDBOX_PARTS, SANDBOX_PART_DEPTH};
use crate::start::start_of;
use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

/// Runs mail-parser over `source`. It does not panic on any input we know of, and if it did on
/// one, that message must not take the sandbox down.
pub(super) fn with_mail<T>(source: &[u8], look: impl FnOnce(&Message<'_>) -> T) -> Option<T> {
    let source = heads::bounded(source);
    let work = || mail_parser::MessageParser::default().parse(&*source).map(|mail| look(&mail));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok().flatten()
}

/// A part that is no body: what is known of it without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Its place in the tree: `2` or `1.3`.
    pub id: String,
    /// May be empty.
    pub file_name: String,
    /// `image/png`.
    pub content_type: String,
    /// Without angle brackets; may be empty.
    pub content_id: String,
    /// Decoded bytes.
    pub size: usize,
}

/// The message's text, made from its HTML when it has none.
pub(super) fn text(mail: &Message<'_>) -> String {
    let bodies = mail.text_bodies().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        PartType::Html(html) => Some(text_of(html)),
        _ => None,
    });
    bodies.collect::<Vec<_>>().join("\n")
}

/// The message's HTML; empty when it has none.
pub(super) fn html(mail: &Message<'_>) -> String {
    let bodies = mail.html_bodies().filter_map(|part| match &part.body {
        PartType::Html(html) => Some(html.as_ref()),
        _ => None,
    });
    bodies.collect::<Vec<_>>().join("\n")
}

/// The parts that are no bodies: (inline, attachments); the first [`SANDBOX_PARTS`] of them.
pub(super) fn parts(mail: &Message<'_>) -> (Vec<Part>, Vec<Part>) {
    let (mut inline, mut attachments) = (Vec::new(), Vec::new());
    let mut paths = paths(mail);
    for at in mail.attachments.iter().take(SANDBOX_PARTS) {
        let Some(part) = mail.part(*at) else { continue };
        let described = describe(part, std::mem::take(&mut paths[*at as usize]));
        if is_inline(part) {
            inline.push(described);
        } else {
            attachments.push(described);
        }
    }
    (inline, attachments)
}

fn is_inline(part: &MessagePart<'_>) -> bool {
    match part.content_disposition() {
        Some(disposition) => disposition.is_inline(),
        None => part.content_id().is_some(),
    }
}

fn describe(part: &MessagePart<'_>, id: String) -> Part {
    let content_type = match part.content_type() {
        Some(kind) => match kind.subtype() {
            Some(sub) => format!("{}/{sub}", kind.ctype()).to_ascii_lowercase(),
            None => kind.ctype().to_ascii_lowercase(),
        },
        None => "application/octet-stream".to_string(),
    };
    Part {
        id,
        file_name: named(part.attachment_name()),
        content_type: heads::opened(content_type),
        content_id: named(part.content_id()),
        size: part.contents().len(),
    }
}

/// The name of a part, as much of it as lists have.
fn named(name: Option<&str>) -> String {
    start_of(name.unwrap_or_default(), SANDBOX_LISTED_TEXT_BYTES).to_string()
}

/// Where each part stands: the numbers of the children to take from the root; `0` for the root.
fn paths(mail: &Message<'_>) -> Vec<String> {
    // A part that hangs deeper than we name, or on no branch, goes by its number.
    let mut paths: Vec<String> = (0..mail.parts.len()).map(|at| at.to_string()).collect();
    let mut branches = vec![(0_u32, String::new(), 0)];
    while let Some((at, path, depth)) = branches.pop() {
        let children = mail.part(at).and_then(|part| part.sub_parts()).unwrap_or_default();
        for (number, child) in children.iter().enumerate() {
            // Children come after their parent; anything else would be a circle.
            let Some(slot) = paths.get_mut(*child as usize).filter(|_| *child > at) else {
                continue;
            };
            let number = number + 1;
            *slot = if depth == 0 { number.to_string() } else { format!("{path}.{number}") };
            if depth < SANDBOX_PART_DEPTH {
                branches.push((*child, slot.clone(), depth + 1));
            }
        }
    }
    paths
}

/// One part with its bytes.
pub fn part(source: &[u8], id: &str) -> Option<(Part, Vec<u8>)> {
    with_mail(source, |mail| {
        let at = paths(mail).iter().position(|path| path == id)?;
        let part = mail.parts.get(at)?;
        Some((describe(part, id.to_string()), part.contents().to_vec()))
    })
    .flatten()
}

/// The same parts with its bytes, in the order of the message.
pub fn for_each_part(source: &[u8], mut visit: impl FnMut(Part, &[u8])) {
    let _ = with_mail(source, |mail| {
        let mut paths = paths(mail);
        for at in mail.attachments.iter().take(SANDBOX_PARTS) {
            if let Some(part) = mail.part(*at) {
                let path = std::mem::take(&mut paths[*at as usize]);
                visit(describe(part, path), part.contents());
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_more_parts_are_looked_at_than_are_listed() {
        let part = "--b\r\nContent-Type: image/png\r\nContent-ID: <c>\r\n\r\nx\r\n";
        let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let source = format!("{head}{}--b--\r\n", part.repeat(super::SANDBOX_PARTS + 50));
        let listed = super::with_mail(source.as_bytes(), super::parts).unwrap();
        assert_eq!(listed.0.len() + listed.1.len(), super::SANDBOX_PARTS);
        let mut seen = 0;
        super::for_each_part(source.as_bytes(), |_, _| seen += 1);
        assert_eq!(seen, super::SANDBOX_PARTS);
    }
}

//! Making parts, and finding the main ones of a tree.

use super::encoding::Content;
use super::fields::{message_ids, Params};
use super::part::{Body, Part, RawField};
use crate::headers::write_field;
use std::hash::{DefaultHasher, Hasher};

/// How a part appears as an attachment.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    /// Suggested file name.
    pub file_name: Option<String>,
    /// Shown within the text rather than beside it.
    pub inline: bool,
    /// Name other parts refer to it by.
    pub content_id: Option<String>,
}

/// RFC 2046 section 5.1.1.
fn can_be_boundary(boundary: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&c);
    (1..=70).contains(&boundary.len()) && boundary.bytes().all(allowed) && !boundary.ends_with(' ')
}

/// RFC 2045 section 5.1.
fn can_be_type(kind: &str) -> bool {
    let special = |c: u8| b"()<>@,;:\\\"[]?=".contains(&c);
    kind.bytes().all(|c| c.is_ascii_graphic() && !special(c))
}

/// A field with parameters, which are not to be encoded as words.
fn field(name: &str, params: &Params) -> RawField {
    RawField { name: name.to_owned(), raw: write_field(name, &params.to_string()) }
}

impl Part {
    /// A part with content and a type.
    pub fn leaf(kind: &str, content: Content) -> Part {
        let part = Part::with(Vec::new(), Body::Leaf(Vec::new()));
        part.replace(content, Some(kind));
        part
    }

    /// An attachment, or other content that is not text.
    pub fn binary(kind: &str, content: &[u8], how: Option<&Attachment>) -> Part {
        let part = Part::leaf(kind, Content::Bytes(content.to_vec()));
        let Some(how) = how else { return part };
        let mut disposition = Params::new(if how.inline { "inline" } else { "attachment" });
        if let Some(name) = &how.file_name {
            disposition.set("filename", name);
            let mut kind = part.content_type();
            kind.set("name", name);
            part.set(field("Content-Type", &kind));
        }
        part.set(field("Content-Disposition", &disposition));
        if let Some(id) = &how.content_id {
            part.set(RawField::new("Content-ID", &format!("<{id}>")));
        }
        part
    }

    /// A container of parts.
    ///
    /// # Errors
    /// A boundary that cannot be one (RFC 2046 section 5.1.1).
    pub fn multipart(kind: &str, parts: Vec<Part>, boundary: &str) -> Result<Part, String> {
        if !can_be_boundary(boundary) {
            return Err(format!("`{boundary}` cannot be a boundary"));
        }
        let mut params = Params::parse(kind);
        params.set("boundary", boundary);
        let body = Body::Parts { before: Vec::new(), parts, after: Vec::new() };
        Ok(Part::with(vec![field("Content-Type", &params)], body))
    }

    /// Gives a container whose type or boundary cannot be written as it is others that can: a boundary that follows from what
    /// it holds, and can stand in no line of quoted-printable or base64.
    pub(super) fn mend_container(&self) {
        let mut kind = self.content_type();
        let is_plain = |field: &RawField| field.raw.is_ascii() && !field.raw.contains(&0);
        let is_plain = self.first("Content-Type").is_some_and(|field| is_plain(&field));
        if is_plain && can_be_type(&kind.value) && kind.get("boundary").is_some_and(can_be_boundary)
        {
            return;
        }
        if !can_be_type(&kind.value) {
            kind.value = "multipart/mixed".to_owned();
        }
        let mut held = DefaultHasher::new();
        self.parts().iter().for_each(|part| held.write(&part.write()));
        kind.set("boundary", &format!("=_{:016x}", held.finish()));
        self.set(field("Content-Type", &kind));
    }

    /// The main parts of the tree, depth first.
    pub fn structure(&self) -> Structure {
        let mut found = Structure { header_part: self.clone(), ..Structure::empty(self) };
        found.walk(self);
        found
    }
}

/// One attachment of a tree.
#[derive(Clone, Debug)]
pub struct Attached {
    /// How it appears.
    pub how: Attachment,
    /// The part.
    pub part: Part,
}

/// The main parts of a tree.
#[derive(Clone, Debug)]
pub struct Structure {
    /// The first `text/plain` part.
    pub text: Option<Part>,
    /// The first `text/html` part.
    pub html: Option<Part>,
    /// The first `text/x-amp-html` part.
    pub amp_html: Option<Part>,
    /// The part whose header is the message's.
    pub header_part: Part,
    /// Everything else, in order.
    pub attachments: Vec<Attached>,
}

impl Structure {
    fn empty(root: &Part) -> Structure {
        Structure {
            text: None,
            html: None,
            amp_html: None,
            header_part: root.clone(),
            attachments: Vec::new(),
        }
    }

    fn walk(&mut self, part: &Part) {
        let kind = part.content_type();
        let inside = part.parts();
        if !inside.is_empty() || kind.value.starts_with("multipart/") {
            inside.iter().for_each(|p| self.walk(p));
            return;
        }
        let disposition = part.first("Content-Disposition").map(|f| Params::parse(&f.text()));
        let attached = disposition.as_ref().is_some_and(|d| d.value == "attachment");
        let place = match kind.value.as_str() {
            "text/plain" => Some(&mut self.text),
            "text/html" => Some(&mut self.html),
            "text/x-amp-html" => Some(&mut self.amp_html),
            _ => None,
        };
        match place {
            Some(place) if place.is_none() && !attached => *place = Some(part.clone()),
            _ => {
                let named = disposition.as_ref().and_then(|d| d.get("filename"));
                let how = Attachment {
                    file_name: named.or(kind.get("name")).map(str::to_owned),
                    inline: disposition.as_ref().is_some_and(|d| d.value == "inline"),
                    content_id: part
                        .first("Content-ID")
                        .and_then(|f| message_ids(&f.text()).into_iter().next()),
                };
                self.attachments.push(Attached { how, part: part.clone() });
            }
        }
    }
}

/// Puts a message together from texts and attachments.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// `text/plain`.
    pub text: Option<Part>,
    /// `text/html`.
    pub html: Option<Part>,
    /// `text/x-amp-html`.
    pub amp_html: Option<Part>,
    /// Attachments; inline ones belong to the HTML.
    pub attached: Vec<Part>,
    /// Boundaries that are the same every time.
    pub stable: bool,
}

impl Builder {
    /// The message in its usual form: alternatives, related parts around them, attachments around all.
    ///
    /// # Errors
    /// There is nothing to put together.
    pub fn build(&self, boundary: &dyn Fn(&str) -> String) -> Result<Part, String> {
        let texts = [&self.text, &self.amp_html, &self.html];
        let mut texts: Vec<Part> = texts.into_iter().flatten().cloned().collect();
        let is_inline = |p: &&Part| {
            p.first("Content-Disposition").is_some_and(|f| f.text().starts_with("inline"))
        };
        let (inline, beside): (Vec<&Part>, Vec<&Part>) = self.attached.iter().partition(is_inline);
        let mut main = match texts.len() {
            0 => None,
            1 => texts.pop(),
            _ => Some(Part::multipart("multipart/alternative", texts, &boundary("ma-boundary"))?),
        };
        if let (Some(part), false) = (&main, inline.is_empty()) {
            let mut parts = vec![part.clone()];
            parts.extend(inline.iter().map(|p| (*p).clone()));
            main = Some(Part::multipart("multipart/related", parts, &boundary("mr-boundary"))?);
        }
        let outside = match main.is_some() {
            true => beside,
            false => self.attached.iter().collect(),
        };
        let root = match (main, outside.is_empty()) {
            (Some(part), true) => part,
            (None, true) => return Err("there is neither text nor attachment".into()),
            (main, false) => {
                let mut parts: Vec<Part> = main.into_iter().collect();
                parts.extend(outside.into_iter().cloned());
                Part::multipart("multipart/mixed", parts, &boundary("mm-boundary"))?
            }
        };
        root.set(RawField::new("Mime-Version", "1.0"));
        Ok(root)
    }
}

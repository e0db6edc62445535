//! One part of a message, and all parts below it.

use std::cell::RefCell;
use std::rc::Rc;

use super::encoding::{decode, encode, Content};
use super::fields::Params;
use crate::headers::{encode_value, write_field, HeaderBlock};
use crate::limits::{MAX_MIME_DEPTH, MAX_MIME_PARTS};

/// One header field as it stands in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawField {
    /// Field name as written.
    pub name: String,
    /// The whole field with folding and line end.
    pub raw: Vec<u8>,
}

impl RawField {
    /// A field of a value that may need encoding.
    pub fn new(name: &str, value: &str) -> RawField {
        RawField { name: name.to_owned(), raw: write_field(name, &encode_value(value)) }
    }

    /// Whether it has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Everything behind the colon, folding included, without the line end.
    pub fn raw_value(&self) -> &[u8] {
        let field = HeaderBlock::new(&self.raw).fields().next();
        field.map_or(&[], |f| &self.raw[f.value_range])
    }

    /// Unfolded and decoded.
    pub fn text(&self) -> String {
        HeaderBlock::new(&self.raw).fields().next().map(|f| f.decoded()).unwrap_or_default()
    }
}

/// What a part holds.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Encoded as it is on the wire.
    Leaf(Vec<u8>),
    /// Parts, with what stands before the first boundary and behind the last.
    Parts { before: Vec<u8>, parts: Vec<Part>, after: Vec<u8> },
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) fields: Vec<RawField>,
    pub(super) body: Body,
    /// Place in the tree when it was parsed: `1.2` is the second part of the first part.
    id: String,
}

/// A handle to one part; clones are the same part.
#[derive(Clone, Debug)]
pub struct Part(pub(super) Rc<RefCell<Inner>>);

/// What is left of the limits while a tree is parsed.
struct Budget {
    parts: usize,
}

impl Part {
    pub(super) fn with(fields: Vec<RawField>, body: Body) -> Part {
        Part(Rc::new(RefCell::new(Inner { fields, body, id: String::new() })))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// More parts, or deeper nesting, than the limits allow.
    pub fn parse(bytes: &[u8]) -> Result<Part, String> {
        parse(bytes, "", 0, &mut Budget { parts: MAX_MIME_PARTS })
    }

    /// Place in the tree when it was parsed; empty for the whole and for parts that were made.
    pub fn id(&self) -> String {
        self.0.borrow().id.clone()
    }

    /// Whether both handles are the same part.
    pub fn same(&self, other: &Part) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Reads or changes the fields of the header.
    pub fn fields<R>(&self, f: impl FnOnce(&mut Vec<RawField>) -> R) -> R {
        f(&mut self.0.borrow_mut().fields)
    }

    /// The first field of a name.
    pub fn first(&self, name: &str) -> Option<RawField> {
        self.fields(|all| all.iter().find(|f| f.is(name)).cloned())
    }

    /// Puts a field in the place of the first of its name, drops the others; at the end when there is none.
    pub fn set(&self, field: RawField) {
        self.fields(|all| {
            let at = all.iter().position(|f| f.is(&field.name));
            all.retain({
                let mut seen = false;
                let name = field.name.clone();
                move |f| !f.is(&name) || !std::mem::replace(&mut seen, true)
            });
            match at {
                Some(at) => all[at] = field,
                None => all.push(field),
            }
        })
    }

    /// Its type and parameters; `text/plain` when it names none (RFC 2045 section 5.2).
    pub fn content_type(&self) -> Params {
        let given = self.first("Content-Type").map(|f| Params::parse(&f.text()));
        given.unwrap_or_else(|| Params::new("text/plain"))
    }

    /// The parts it holds.
    pub fn parts(&self) -> Vec<Part> {
        match &self.0.borrow().body {
            Body::Parts { parts, .. } => parts.clone(),
            Body::Leaf(_) => Vec::new(),
        }
    }

    /// Whether another part is this one or lies in it.
    fn contains(&self, other: &Part) -> bool {
        self.same(other) || self.parts().iter().any(|p| p.contains(other))
    }

    /// Adds a part at the end. A part that held content becomes empty before.
    ///
    /// # Errors
    /// The part would hold itself.
    pub fn append(&self, part: Part) -> Result<(), String> {
        if part.contains(self) {
            return Err("a part cannot hold itself".into());
        }
        let mut inner = self.0.borrow_mut();
        match &mut inner.body {
            Body::Parts { parts, .. } => parts.push(part),
            Body::Leaf(_) => {
                inner.body =
                    Body::Parts { before: Vec::new(), parts: vec![part], after: Vec::new() }
            }
        }
        Ok(())
    }

    /// The content of a part without parts, decoded; of others nothing.
    pub fn content(&self) -> Content {
        let kind = self.content_type();
        let encoding = self.first("Content-Transfer-Encoding").map(|f| f.text());
        match &self.0.borrow().body {
            Body::Leaf(raw) => decode(raw, encoding.as_deref().unwrap_or(""), &kind),
            Body::Parts { .. } => Content::Text(String::new()),
        }
    }

    /// Replaces the content; the encoding is chosen anew. Without a type the part keeps its own, or gets one that fits.
    pub fn replace(&self, content: Content, kind: Option<&str>) {
        let mut params = match (kind, self.first("Content-Type")) {
            (Some(kind), _) => Params::parse(kind),
            (None, Some(_)) => self.content_type(),
            (None, None) => Params::new(match content {
                Content::Text(_) => "text/plain",
                Content::Bytes(_) => "application/octet-stream",
            }),
        };
        let (raw, encoding) = encode(&content, &mut params);
        self.set(RawField {
            name: "Content-Type".into(),
            raw: write_field("Content-Type", &params.to_string()),
        });
        match encoding {
            Some(name) => self.set(RawField::new("Content-Transfer-Encoding", name)),
            None => {
                self.fields(|all| all.retain(|f| !f.is("Content-Transfer-Encoding")));
            }
        }
        self.0.borrow_mut().body = Body::Leaf(raw);
    }

    /// The message, with CRLF line ends where this module writes them.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let kind = self.content_type();
        let boundary = boundary_of(&kind).unwrap_or_default();
        let inner = self.0.borrow();
        for field in &inner.fields {
            out.extend_from_slice(&field.raw);
            if !field.raw.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        match &inner.body {
            Body::Leaf(raw) => out.extend_from_slice(raw),
            Body::Parts { before, parts, after } => {
                out.extend_from_slice(before);
                for part in parts {
                    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
                    part.write_to(out);
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
                out.extend_from_slice(after);
            }
        }
    }

    /// The same tree with every header and content encoded anew, so that it is plain ASCII with short lines.
    pub fn rebuild(&self) -> Part {
        let parts = self.parts();
        let plain = |f: &RawField| f.raw.is_ascii() && !f.raw.contains(&0);
        let again = |f: &RawField| match ["Content-Type", "Content-Disposition"].map(|n| f.is(n)) {
            _ if plain(f) => f.clone(),
            [false, false] => RawField::new(&f.name, &f.text()),
            _ => {
                let raw = write_field(&f.name, &Params::parse(&f.text()).to_string());
                RawField { name: f.name.clone(), raw }
            }
        };
        if !parts.is_empty() {
            let parts = parts.iter().map(Part::rebuild).collect();
            let body = Body::Parts { before: Vec::new(), parts, after: Vec::new() };
            let made = Part::with(self.fields(|all| all.iter().map(again).collect()), body);
            // Its type is none of the fields that are encoded as words, and there is one of it, as of a part without parts.
            if let Some(kind) = self.first("Content-Type") {
                made.set(kind);
            }
            made.relabel("7bit");
            made.mend_container();
            return made;
        }
        let fields = self.fields(|all| all.iter().map(again).collect());
        let made = Part::with(fields, Body::Leaf(Vec::new()));
        made.replace(self.content(), None);
        made
    }
}

/// What stands behind two hyphens in front of each part. White space at its end is none of it (RFC 2046 section 5.1.1): a line
/// may have any there.
fn boundary_of(kind: &Params) -> Option<&str> {
    kind.get("boundary").map(str::trim_ascii_end)
}

fn parse(bytes: &[u8], id: &str, depth: usize, budget: &mut Budget) -> Result<Part, String> {
    budget.parts = budget.parts.checked_sub(1).ok_or("the message has too many parts")?;
    let block = HeaderBlock::new(bytes);
    let field = |f: crate::headers::Field<'_>| RawField {
        name: String::from_utf8_lossy(f.name).into_owned(),
        raw: bytes[f.range].to_vec(),
    };
    let part = Part::with(block.fields().map(field).collect(), Body::Leaf(Vec::new()));
    part.0.borrow_mut().id = id.to_owned();
    let body = &bytes[block.body_start()..];
    let kind = part.content_type();
    let boundary = boundary_of(&kind).filter(|_| kind.value.starts_with("multipart/"));
    let found = boundary.and_then(|b| split(body, b));
    let Some((before, pieces, after)) = found else {
        part.0.borrow_mut().body = Body::Leaf(body.to_vec());
        return Ok(part);
    };
    if depth >= MAX_MIME_DEPTH {
        return Err("the parts of the message are nested too deeply".into());
    }
    let mut parts = Vec::with_capacity(pieces.len());
    for (n, piece) in pieces.into_iter().enumerate() {
        let dot = if id.is_empty() { "" } else { "." };
        parts.push(parse(piece, &format!("{id}{dot}{}", n + 1), depth + 1, budget)?);
    }
    part.0.borrow_mut().body =
        Body::Parts { before: before.to_vec(), parts, after: after.to_vec() };
    Ok(part)
}

/// What stands before the first boundary, the parts, and what stands behind the last.
type Split<'a> = (&'a [u8], Vec<&'a [u8]>, &'a [u8]);

/// Cuts a body at its boundary lines (RFC 2046 section 5.1.1). A missing last boundary ends with the body.
fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Split<'a>> {
    let mark = format!("--{boundary}");
    let mut before = None;
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < body.len() {
        let end = memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |n| at + n + 1);
        let rest = body[at..end].strip_prefix(mark.as_bytes());
        let last = rest.is_some_and(|r| r.starts_with(b"--"));
        let is_mark = rest.is_some_and(|r| {
            r.strip_prefix(b"--").filter(|_| last).unwrap_or(r).trim_ascii().is_empty()
        });
        if is_mark {
            // The line end before a boundary belongs to the boundary.
            let piece = body[start..at].strip_suffix(b"\n").unwrap_or(&body[start..at]);
            let piece = piece.strip_suffix(b"\r").unwrap_or(piece);
            match before {
                None => before = Some(&body[..at]),
                Some(_) => pieces.push(piece),
            }
            start = end;
            if last {
                return before.map(|b| (b, pieces, &body[end..]));
            }
        }
        at = end;
    }
    let before = before?;
    pieces.push(&body[start.min(body.len())..]);
    Some((before, pieces, &[]))
}

//! What the page shows of a message beside the API: a part to look at, and a message within the message. Each is a stranger's,
//! and has a policy of its own.

use crate::api::not_found;
use crate::captured::Captured;
use crate::limits::SANDBOX_NESTED_MESSAGES;
use crate::message::{parse, Envelope, SessionInfo};
use crate::mime::Part;
use crate::view::{contained, VIEW_POLICY};
use crate::{json, mime, view};
use ringmta_http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use ringmta_http::Response;

/// The policy of a PDF. Browsers show none within a sandbox, so this has none; it is given only to what begins as a PDF, with
/// that type and no sniffing, and lets it load nothing.
const PDF_POLICY: &str = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// How many bytes at its beginning may stand in front of a PDF's signature.
const PDF_SIGNATURE_WITHIN: usize = 1024;

/// Types beside `text/` that are text.
const TEXTS: [&str; 8] = [
    "application/json",
    "application/ld+json",
    "application/xml",
    "application/xhtml+xml",
    "application/ics",
    "application/javascript",
    "message/delivery-status",
    "message/feedback-report",
];

/// Answers what comes after `/view/{id}`: `part/{n}` a part to look at; `in/{n}` and then `message`, `html`, `part/{m}` or
/// `in/{m}` what is in the message that this part is.
pub fn answer(message: &Captured, path: &[String], form: view::Form) -> Response {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    descend(message, &path, form, SANDBOX_NESTED_MESSAGES)
}

fn descend(message: &Captured, path: &[&str], form: view::Form, levels: usize) -> Response {
    match path {
        ["part", part] => look(message, part).unwrap_or_else(not_found),
        ["in", part, rest @ ..] if levels > 0 => match nested(message, part) {
            Some(inner) => descend(&inner, rest, form, levels - 1),
            None => not_found(),
        },
        // The outermost message's own are elsewhere.
        ["message"] if levels < SANDBOX_NESTED_MESSAGES => {
            contained(Response::json(&json::message(message, &[])), VIEW_POLICY)
        }
        ["html"] if levels < SANDBOX_NESTED_MESSAGES => view::html(message, form),
        _ => not_found(),
    }
}

/// One part as a browser can show it: pictures and PDFs as they are, texts as plain text, anything else to be saved.
fn look(message: &Captured, id: &str) -> Option<Response> {
    let (part, bytes) = mime::part(&message.source, id)?;
    let start = &bytes[..bytes.len().min(PDF_SIGNATURE_WITHIN)];
    let is_pdf =
        part.content_type == "application/pdf" && memchr::memmem::find(start, b"%PDF-").is_some();
    if is_pdf {
        let response = Response::bytes("application/pdf", bytes);
        return Some(contained(response.header(CONTENT_DISPOSITION, "inline"), PDF_POLICY));
    }
    if is_text(&part) {
        let response = Response::bytes("text/plain; charset=utf-8", bytes);
        return Some(contained(response.header(CONTENT_DISPOSITION, "inline"), VIEW_POLICY));
    }
    let disposition = match part.content_type.starts_with("image/") {
        true => "inline",
        false => "attachment",
    };
    let response = Response::bytes("application/octet-stream", bytes)
        .header(CONTENT_TYPE, &part.content_type)
        .header(CONTENT_DISPOSITION, disposition);
    Some(contained(response, VIEW_POLICY))
}

fn is_text(part: &Part) -> bool {
    part.content_type.starts_with("text/") || TEXTS.contains(&part.content_type.as_str())
}

/// The message that a part is.
fn nested(message: &Captured, id: &str) -> Option<Captured> {
    let (part, source) = mime::part(&message.source, id)?;
    if !matches!(part.content_type.as_str(), "message/rfc822" | "message/global") {
        return None;
    }
    Some(stored(&message.id, message.created_ms, source))
}

/// A message that was in no envelope.
fn stored(id: &str, created_ms: u64, source: Vec<u8>) -> Captured {
    Captured {
        id: id.to_string(),
        created_ms,
        parsed: parse(&source, &Envelope::default()),
        source: source.into(),
        envelope: Envelope::default(),
        session: SessionInfo::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "Subject: out\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<p>out</p>\r\n\
        --b\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4 x\r\n\
        --b\r\nContent-Type: application/pdf\r\n\r\n<script>\r\n\
        --b\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n<script>\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\
        Content-Type: text/html\r\n\r\n<i>in</i>\r\n--b--\r\n";

    fn ask(path: &[&str]) -> Response {
        let path: Vec<String> = path.iter().map(|part| part.to_string()).collect();
        answer(&stored("id", 0, MESSAGE.into()), &path, view::Form::default())
    }

    fn header(response: &Response, name: &str) -> String {
        response.headers.get(name).map(|v| v.to_str().unwrap().to_string()).unwrap_or_default()
    }

    #[test]
    fn only_what_is_a_pdf_leaves_the_sandbox() {
        let policy = |path: &[&str]| header(&ask(path), "content-security-policy");
        assert_eq!(policy(&["part", "2"]), PDF_POLICY);
        for other in ["1", "3", "4", "5"] {
            assert!(policy(&["part", other]).starts_with("sandbox"), "{other}");
        }
        assert_eq!(header(&ask(&["part", "4"]), "content-type"), "text/plain; charset=utf-8");
        assert_eq!(header(&ask(&["part", "3"]), "content-disposition"), "attachment");
        assert_eq!(ask(&["part", "9"]).status, 404);
    }

    #[test]
    fn a_message_within() {
        let status = |path: &[&str]| ask(path).status.as_u16();
        assert_eq!(status(&["in", "5", "message"]), 200);
        assert!(header(&ask(&["in", "5", "html"]), "content-security-policy").contains("sandbox"));
        for nothing in [
            &["message"][..],
            &["html"],
            &["in", "2", "message"],
            &["in", "5"],
            &["in", "5", "in", "1", "message"],
            &[],
        ] {
            assert_eq!(status(nothing), 404, "{nothing:?}");
        }
    }
}

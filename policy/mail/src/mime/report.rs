//! Reports about mail: delivery status (RFC 3464) and abuse feedback (RFC 5965), read.

use serde_json::{json, Map, Value};

use super::part::Part;
use crate::headers::HeaderBlock;
use crate::limits::{MAX_REPORT_FIELDS, MAX_REPORT_RECIPIENTS};

/// Fields of one block of a report.
struct Block(Vec<(String, String)>);

impl Block {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }
}

/// Groups of fields between empty lines, and between lines of blanks, which some senders write. Strangers send these: what is
/// beyond the limits is not looked at.
fn blocks(bytes: &[u8]) -> Vec<Block> {
    let mut out = Vec::new();
    let mut left = MAX_REPORT_FIELDS;
    let bytes = without_blanks(bytes);
    let mut rest = &bytes[..];
    while !rest.is_empty() && left > 0 && out.len() <= MAX_REPORT_RECIPIENTS {
        let block = HeaderBlock::new(rest);
        let fields: Vec<_> = block
            .fields()
            .take(left)
            .map(|f| (String::from_utf8_lossy(f.name).to_ascii_lowercase(), f.decoded()))
            .collect();
        left -= fields.len();
        let next = block.body_start().max(1).min(rest.len());
        if !fields.is_empty() {
            out.push(Block(fields));
        }
        rest = &rest[next..];
    }
    out
}

/// The same text, its lines of nothing but blanks made empty.
fn without_blanks(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) && line.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

/// The report of a kind, and the message it is about.
fn find(root: &Part, report_type: &str, part_types: &[&str]) -> Option<(Vec<Block>, Option<Part>)> {
    let kind = root.content_type();
    let given = kind.get("report-type").unwrap_or("");
    if kind.value != "multipart/report" || !given.eq_ignore_ascii_case(report_type) {
        return None;
    }
    let parts = root.parts();
    let report = parts.iter().find(|p| part_types.contains(&p.content_type().value.as_str()))?;
    let about = parts.iter().find(|p| {
        matches!(
            p.content_type().value.as_str(),
            "message/rfc822"
                | "text/rfc822-headers"
                | "message/rfc822-headers"
                | "message/global"
                | "message/global-headers"
        )
    });
    Some((blocks(report.content().bytes()), about.cloned()))
}

/// The message that a report is about, with the line ends of a text.
fn about_text(part: Option<Part>) -> Value {
    match part {
        Some(p) => String::from_utf8_lossy(p.content().bytes()).replace("\r\n", "\n").into(),
        None => Value::Null,
    }
}

/// `type; value`, as two named values.
fn typed(text: Option<&str>, kind: &str, value: &str) -> Value {
    let Some(text) = text else { return Value::Null };
    let (t, v) = text.split_once(';').unwrap_or(("", text));
    json!({kind: t.trim(), value: v.trim()})
}

fn date(text: Option<&str>) -> Value {
    let parsed = text.and_then(mail_parser::DateTime::parse_rfc822).filter(|d| d.is_valid());
    match parsed {
        Some(d) => crate::time::format_rfc3339(d.to_timestamp(), None).into(),
        None => Value::Null,
    }
}

/// `5.1.1 text` as numbers.
fn status(text: &str) -> Result<Value, String> {
    let text = without_comments(text);
    let first = text.split_whitespace().next().unwrap_or("");
    let numbers: Vec<u16> = first.split('.').filter_map(|n| n.parse().ok()).collect();
    match numbers[..] {
        [class, subject, detail] => {
            Ok(json!({"class": class, "subject": subject, "detail": detail}))
        }
        _ => Err(format!("Status: `{text}` is not a status code")),
    }
}

/// `text` without its comments (RFC 5322 section 3.2.2), which may hold others.
fn without_comments(text: &str) -> String {
    let (mut depth, mut escaped) = (0usize, false);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim().to_string()
}

/// Fields that are not among `known`, by name.
fn extensions(block: &Block, known: &[&str]) -> Value {
    let mut out: Map<String, Value> = Map::new();
    for (name, value) in block.0.iter().filter(|(n, _)| !known.contains(&n.as_str())) {
        let list = out.entry(name.clone()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value.as_str().into());
        }
    }
    out.into()
}

fn without_nulls(v: Value) -> Value {
    match v {
        Value::Object(m) => {
            let kept = m
                .into_iter()
                .filter(|(_, v)| !v.is_null() && v.as_object().is_none_or(|o| !o.is_empty()));
            Value::Object(kept.collect())
        }
        other => other,
    }
}

/// A delivery status report; `None` when the message is none.
///
/// # Errors
/// A report that lacks what it must have.
pub fn delivery_report(root: &Part) -> Result<Option<Value>, String> {
    let Some((blocks, about)) = find(
        root,
        "delivery-status",
        // The second is that of internationalised mail (RFC 6533).
        &["message/delivery-status", "message/global-delivery-status"],
    ) else {
        return Ok(None);
    };
    let mut blocks = blocks.into_iter();
    let head = blocks.next().ok_or("the delivery status is empty")?;
    let reporting = head.get("reporting-mta").ok_or("Reporting-MTA is missing")?;
    let per_message = json!({
        "reporting_mta": typed(Some(reporting), "mta_type", "name"),
        "original_envelope_id": head.get("original-envelope-id"),
        "dsn_gateway": typed(head.get("dsn-gateway"), "mta_type", "name"),
        "received_from_mta": typed(head.get("received-from-mta"), "mta_type", "name"),
        "arrival_date": date(head.get("arrival-date")),
        "extensions": extensions(&head, &["reporting-mta", "original-envelope-id", "dsn-gateway", "received-from-mta", "arrival-date"]),
    });
    let mut per_recipient = Vec::new();
    for b in blocks {
        let action = b.get("action").ok_or("Action is missing")?;
        // A comment may stand behind it, and in front (RFC 3464 section 2.1.1).
        let action = without_comments(action).to_ascii_lowercase();
        let code = b.get("status").ok_or("Status is missing")?;
        let last = b.get("final-recipient").ok_or("Final-Recipient is missing")?;
        per_recipient.push(without_nulls(json!({
            "original_recipient": typed(b.get("original-recipient"), "recipient_type", "recipient"),
            "final_recipient": typed(Some(last), "recipient_type", "recipient"),
            "action": action,
            "status": status(code)?,
            "remote_mta": typed(b.get("remote-mta"), "mta_type", "name"),
            "diagnostic_code": typed(b.get("diagnostic-code"), "diagnostic_type", "diagnostic"),
            "last_attempt_date": date(b.get("last-attempt-date")),
            "final_log_id": b.get("final-log-id"),
            "will_retry_until": date(b.get("will-retry-until")),
            "extensions": extensions(&b, &["original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code", "last-attempt-date", "final-log-id", "will-retry-until"]),
        })));
    }
    Ok(Some(without_nulls(json!({
        "per_message": without_nulls(per_message),
        "per_recipient": per_recipient,
        "original_message": about_text(about),
    }))))
}

/// An abuse feedback report; `None` when the message is none.
///
/// # Errors
/// A report that lacks what it must have.
pub fn feedback_report(root: &Part) -> Result<Option<Value>, String> {
    let Some((blocks, about)) = find(root, "feedback-report", &["message/feedback-report"]) else {
        return Ok(None);
    };
    let b = blocks.into_iter().next().ok_or("the feedback report is empty")?;
    let need = |name: &str| b.get(name).ok_or_else(|| format!("{name} is missing"));
    const KNOWN: [&str; 14] = [
        "feedback-type",
        "user-agent",
        "version",
        "arrival-date",
        "received-date",
        "incidents",
        "original-envelope-id",
        "original-mail-from",
        "reporting-mta",
        "source-ip",
        "authentication-results",
        "original-rcpt-to",
        "reported-domain",
        "reported-uri",
    ];
    let arrival = b.get("arrival-date").or(b.get("received-date"));
    let supplemental = about.as_ref().and_then(supplemental_trace);
    // Whoever reads the record finds every field, also where the report says nothing.
    Ok(Some(json!({
        "feedback_type": need("feedback-type")?,
        "user_agent": need("user-agent")?,
        "version": need("version")?,
        "arrival_date": date(arrival),
        "incidents": b.get("incidents").and_then(|n| n.parse::<u32>().ok()),
        "original_envelope_id": b.get("original-envelope-id"),
        "original_mail_from": b.get("original-mail-from"),
        "reporting_mta": typed(b.get("reporting-mta"), "mta_type", "name"),
        "source_ip": b.get("source-ip"),
        "authentication_results": b.all("authentication-results"),
        "original_rcpto_to": b.all("original-rcpt-to"),
        "reported_domain": b.all("reported-domain"),
        "reported_uri": b.all("reported-uri"),
        "extensions": extensions(&b, &KNOWN),
        "original_message": about_text(about),
        "supplemental_trace": supplemental,
    })))
}

/// The engine's own trace header of the message that is complained about: base64 of JSON with a marker key.
fn supplemental_trace(about: &Part) -> Option<Value> {
    let content = about.content();
    HeaderBlock::new(content.bytes()).fields().find_map(|f| {
        let text: String = f.decoded().split_whitespace().collect();
        let json = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
        let v: Value = serde_json::from_slice(&json).ok()?;
        (v.get("_@_")?.as_str()? == "\\_/").then_some(v)
    })
}

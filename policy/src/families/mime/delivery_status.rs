//! Delivery status reports (RFC 3464), made from log records.

use ringmta_mail::headers::HeaderBlock;
use ringmta_mail::mime::{Content, Part, RawField};
use ringmta_mail::time::format_rfc2822;
use ringmta_options::plain::Plain;
use ringmta_options::*;
use serde_json::Value;

option_table! {
    /// How a report is made.
    pub struct DsnParams for "kumo.generate_rfc3464_message" {
        /// How much of the original message goes into the report.
        include_original_message: IncludeOriginal = IncludeOriginal::No,
        /// Report messages that expired.
        enable_expiration: bool = false,
        /// Report messages that bounced.
        enable_bounce: bool = false,
        /// Who reports: `{ mta_type = 'dns', name = ... }`.
        reporting_mta: Plain = Plain::Nil; Support::Required,
        /// Make the same report every time, for tests.
        stable_content: bool = false,
    }
}

fn text<'a>(record: &'a Value, path: &str) -> &'a str {
    record.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn date(record: &Value, key: &str) -> String {
    format_rfc2822(record.get(key).and_then(Value::as_i64).unwrap_or(0))
}

/// `5.1.1` of the record, else what its reply code implies.
fn status_of(record: &Value) -> String {
    let n = |path: &str| record.pointer(path).and_then(Value::as_u64);
    match (
        n("/response/enhanced_code/class"),
        n("/response/enhanced_code/subject"),
        n("/response/enhanced_code/detail"),
    ) {
        (Some(class), Some(subject), Some(detail)) => format!("{class}.{subject}.{detail}"),
        _ => "5.0.0".to_owned(),
    }
}

/// What is told of a message that will not be delivered.
struct Failure<'a> {
    record: &'a Value,
    recipients: Vec<&'a str>,
    /// Name of the host that answered; empty when none did.
    peer: &'a str,
    status: String,
    /// Code, status and text of the answer.
    said: String,
}

impl<'a> Failure<'a> {
    fn of(record: &'a Value) -> Result<Failure<'a>, String> {
        let recipients = match record.get("recipient") {
            Some(Value::String(s)) => vec![s.as_str()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => return Err("the log record has no recipient".into()),
        };
        let code = record.pointer("/response/code").and_then(Value::as_u64).unwrap_or(500);
        let status = status_of(record);
        let said = format!("{code} {status} {}", text(record, "/response/content"));
        Ok(Failure { record, recipients, peer: text(record, "/peer_address/name"), status, said })
    }

    /// The part for people.
    fn words(&self, sender: &str) -> String {
        let mut words = format!(
            "The message was received at {}\r\nfrom {sender} and addressed to {}.\r\n",
            date(self.record, "created"),
            self.recipients.join(", ")
        );
        if !self.peer.is_empty() {
            let at = text(self.record, "/peer_address/addr");
            words.push_str(&format!("{} ({at}) answered:\r\n", self.peer));
        }
        words.push_str(&format!(
            "{}\r\n\r\nIt has left the queue; no further attempt will be made.\r\n",
            self.said
        ));
        words
    }

    /// The part for programs (RFC 3464 sections 2.2 and 2.3).
    fn fields(&self, mta_type: &str, mta: &str) -> String {
        let arrival = date(self.record, "created");
        let mut out = format!("Reporting-MTA: {mta_type}; {mta}\r\nArrival-Date: {arrival}\r\n");
        for recipient in &self.recipients {
            out.push_str(&format!(
                "\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {}\r\n",
                self.status
            ));
            if !self.peer.is_empty() {
                out.push_str(&format!("Remote-MTA: dns; {}\r\n", self.peer));
            }
            out.push_str(&format!(
                "Diagnostic-Code: smtp; {}\r\nLast-Attempt-Date: {}\r\n",
                self.said,
                date(self.record, "timestamp")
            ));
        }
        out
    }
}

/// The report and its recipient; `None` when the record is of a kind that is not reported.
///
/// # Errors
/// Parameters or a record that lack what is needed.
pub fn delivery_status(
    params: &DsnParams,
    original: Option<&[u8]>,
    record: &Value,
    unique: &str,
) -> Result<Option<(String, Part)>, String> {
    let wanted = match text(record, "/type") {
        "Bounce" | "AdminBounce" => params.enable_bounce,
        "Expiration" => params.enable_expiration,
        _ => false,
    };
    let sender = text(record, "/sender");
    let protocol = text(record, "/delivery_protocol");
    if !wanted || sender.is_empty() || !matches!(protocol, "" | "ESMTP") {
        return Ok(None);
    }
    let mta = |key: &str| params.reporting_mta.get(key).and_then(Plain::as_str);
    let (Some(mta_type), Some(name)) = (mta("mta_type"), mta("name")) else {
        return Err("`reporting_mta` must have `mta_type` and `name`".into());
    };
    let failure = Failure::of(record)?;
    let mut parts = vec![
        Part::leaf("text/plain", Content::Text(failure.words(sender))),
        Part::leaf("message/delivery-status", Content::Text(failure.fields(mta_type, name))),
    ];
    parts.extend(about(params, original)?);
    let (unique, when) = match params.stable_content {
        true => ("report", date(record, "timestamp")),
        false => (unique, format_rfc2822(unix_now())),
    };
    let kind = "multipart/report; report-type=delivery-status";
    let root = Part::multipart(kind, parts, &format!("{unique}-boundary"))?;
    for (field, value) in [
        ("Subject", "Returned mail"),
        ("Mime-Version", "1.0"),
        ("Message-ID", &format!("<{unique}@{name}>")),
        ("Date", &when),
        ("Auto-Submitted", "auto-replied"),
        ("To", sender),
        ("From", &format!("Mail Delivery Subsystem <mailer-daemon@{name}>")),
    ] {
        root.set(RawField::new(field, value));
    }
    Ok(Some((sender.to_owned(), root)))
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs() as i64)
}

fn about(params: &DsnParams, original: Option<&[u8]>) -> Result<Option<Part>, String> {
    let need = || original.ok_or("the original message is needed for `include_original_message`");
    Ok(match params.include_original_message {
        IncludeOriginal::No => None,
        IncludeOriginal::FullContent => Some(Part::leaf("message/rfc822", Content::guess(need()?))),
        IncludeOriginal::HeadersOnly => {
            let all = need()?;
            let head = &all[..HeaderBlock::new(all).end()];
            Some(Part::leaf("text/rfc822-headers", Content::guess(head)))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use ringmta_mail::mime::delivery_report;

    #[test]
    fn reports_read_back_what_was_made() {
        let params = DsnParams {
            include_original_message: IncludeOriginal::HeadersOnly,
            enable_bounce: true,
            reporting_mta: Plain::map([
                ("mta_type", Plain::str("dns")),
                ("name", Plain::str("mta.test")),
            ]),
            ..DsnParams::default()
        };
        let record = json!({"type": "Bounce", "sender": "s@a.test", "recipient": "r@b.test", "created": 1_057_049_557, "timestamp": 1_057_056_757,
            "response": {"code": 550, "enhanced_code": {"class": 5, "subject": 7, "detail": 1}, "content": "no thanks"},
            "peer_address": {"name": "mx.b.test", "addr": "192.0.2.1"}, "delivery_protocol": "ESMTP"});
        let (to, report) =
            delivery_status(&params, Some(b"Subject: x\r\n\r\nsecret"), &record, "u1")
                .unwrap()
                .unwrap();
        assert_eq!(to, "s@a.test");
        let text = String::from_utf8(report.write()).unwrap();
        assert!(!text.contains("secret") && text.contains("Subject: x"), "{text}");
        let back = delivery_report(&Part::parse(text.as_bytes()).unwrap()).unwrap().unwrap();
        assert_eq!(
            back["per_message"]["reporting_mta"],
            json!({"mta_type": "dns", "name": "mta.test"})
        );
        assert_eq!(
            back["per_recipient"][0]["status"],
            json!({"class": 5, "subject": 7, "detail": 1})
        );
        assert_eq!(back["per_recipient"][0]["last_attempt_date"], "2003-07-01T10:52:37Z");
        let mut other = record.clone();
        other["type"] = "Delivery".into();
        assert!(delivery_status(&params, None, &other, "u").unwrap().is_none());
        assert!(delivery_status(&params, None, &record, "u")
            .unwrap_err()
            .contains("original message"));
    }
}

//! Bounces as qmail and its kin send them: plain text in a fixed form (QSBMF, "the qmail-send bounce message format").
//!
//! Paragraphs are parted by empty lines. The first says who reports; each that begins with a recipient in angle brackets
//! tells why the mail to it has failed; a line of dashes begins the message that came back.

use serde_json::{json, Value};

use super::part::Part;
use crate::limits::MAX_REPORT_RECIPIENTS;

/// How every one of them begins.
const OPENING: &str = "Hi. This is the ";
/// Longest reason kept, bytes.
const REASON_BYTES: usize = 4096;

/// Whether a text may be one.
pub fn is_qmail_bounce(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(OPENING.as_bytes())
}

/// What it says, in the form of [`super::delivery_report`]; `None` when the message is none.
pub fn qmail_report(root: &Part) -> Option<Value> {
    if !root.parts().is_empty() || root.content_type().value != "text/plain" {
        return None;
    }
    let content = root.content();
    if !is_qmail_bounce(content.bytes()) {
        return None;
    }
    let text = String::from_utf8_lossy(content.bytes()).replace("\r\n", "\n");
    let text = text.trim_start();
    let (told, returned) = text.split_at(text.find("\n\n-").unwrap_or(text.len()));
    let mut paragraphs = told.split("\n\n").map(|paragraph| paragraph.trim_matches('\n'));
    let reporter = reporter(paragraphs.next()?);
    let recipients: Vec<Value> =
        paragraphs.filter_map(recipient).take(MAX_REPORT_RECIPIENTS).collect();
    if recipients.is_empty() {
        return None;
    }
    let original = returned.trim_start().split_once("\n\n").map(|(_, message)| message);
    let mut report = json!({
        "per_message": { "reporting_mta": { "mta_type": "dns", "name": reporter } },
        "per_recipient": recipients,
    });
    if let Some(original) = original {
        report["original_message"] = original.into();
    }
    Some(report)
}

/// The host of `Hi. This is the qmail-send program at HOST.`
fn reporter(paragraph: &str) -> String {
    let line = paragraph.lines().next().unwrap_or_default();
    let host = line.split_once(" at ").map_or("", |(_, rest)| rest);
    host.split_whitespace().next().unwrap_or_default().trim_end_matches(['.', ',']).to_owned()
}

/// `<u@far.test>:` and the reason below it, behind it, or both.
fn recipient(paragraph: &str) -> Option<Value> {
    let (address, reason) = paragraph.strip_prefix('<')?.split_once(">:")?;
    let reason: Vec<&str> = reason.split_whitespace().collect();
    let mut reason = reason.join(" ");
    if reason.len() > REASON_BYTES {
        let end = (0..=REASON_BYTES).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        reason.truncate(end);
    }
    let [class, subject, detail] = code(&reason).unwrap_or([5, 0, 0]);
    Some(json!({
        "final_recipient": { "recipient_type": "rfc822", "recipient": address },
        // What qmail tells of has failed for good; what is late it keeps to itself.
        "action": "failed",
        "status": { "class": class, "subject": subject, "detail": detail },
        "diagnostic_code": { "diagnostic_type": "smtp", "diagnostic": said(&reason) },
    }))
}

/// What the far end said: behind `Remote host said: `, else the whole reason.
fn said(reason: &str) -> &str {
    reason.split_once("Remote host said: ").map_or(reason, |(_, said)| said)
}

/// The enhanced code: `#5.1.1` as qmail writes its own, else that of the far end.
fn code(reason: &str) -> Option<[u16; 3]> {
    let read = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        let mut numbers = word.split('.').map(|n| n.parse::<u16>().ok());
        match (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()) {
            (Some(class @ (4 | 5)), Some(subject), Some(detail), None) => {
                Some([class, subject, detail])
            }
            _ => None,
        }
    };
    let own = reason.rsplit_once('#').and_then(|(_, rest)| read(rest.split(')').next()?));
    own.or_else(|| reason.split_whitespace().find_map(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNCE: &str = "From: MAILER-DAEMON@mx.far.test\r\nTo: verp@src.test\r\nSubject: failure notice\r\n\r\nHi. This is the qmail-send program at mx.far.test.\r\nI'm afraid I wasn't able to deliver your message.\r\n\r\n<gone@far.test>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n<full@away.test>:\r\n192.0.2.1 does not like recipient.\r\nRemote host said: 552 5.2.2 mailbox full\r\nGiving up on 192.0.2.1.\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <verp@src.test>\r\nSubject: hello\r\n\r\n<not@one.test>:\r\n";

    #[test]
    fn each_recipient_with_its_reason() {
        let report = qmail_report(&Part::parse(BOUNCE.as_bytes()).unwrap()).unwrap();
        assert_eq!(report["per_message"]["reporting_mta"]["name"], "mx.far.test");
        let all = report["per_recipient"].as_array().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0]["final_recipient"]["recipient"], "gone@far.test");
        assert_eq!(all[0]["status"], json!({"class": 5, "subject": 1, "detail": 1}));
        assert_eq!(
            all[0]["diagnostic_code"]["diagnostic"],
            "Sorry, no mailbox here by that name. (#5.1.1)"
        );
        assert_eq!(all[1]["status"], json!({"class": 5, "subject": 2, "detail": 2}));
        let said = all[1]["diagnostic_code"]["diagnostic"].as_str().unwrap();
        assert!(said.starts_with("552 5.2.2 mailbox full"), "{said}");
        let original = report["original_message"].as_str().unwrap();
        assert!(original.starts_with("Return-Path: <verp@src.test>\n"), "{original}");
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            BOUNCE.replace("Hi. This", "Hello. This"),
            BOUNCE.replace("<gone@far.test>:", "gone:").replace("<full@away.test>:", "full:"),
            BOUNCE.replace("Subject: failure notice", "Content-Type: text/html"),
        ] {
            assert!(qmail_report(&Part::parse(text.as_bytes()).unwrap()).is_none(), "{text}");
        }
        for end in 0..BOUNCE.len() {
            qmail_report(&Part::parse(&BOUNCE.as_bytes()[..end]).unwrap());
        }
    }
}

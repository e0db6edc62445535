//! MIME trees and the reports found in them: read within their limits, and a tree that was written says the same when it
//! is read.

use super::lines::has_bare_ending;
use ringmta_policy::limits::{MAX_MIME_PARTS, MAX_REPORT_RECIPIENTS};
use ringmta_policy::mime::{delivery_report, feedback_report, qmail_report, Part};
use serde_json::Value;

fn count(part: &Part) -> usize {
    1 + part.parts().iter().map(count).sum::<usize>()
}

/// The bytes are a message.
pub fn check(data: &[u8]) {
    let Ok(root) = Part::parse(data) else { return };
    assert!(count(&root) <= MAX_MIME_PARTS);
    let written = root.write();
    let again = Part::parse(&written).expect("no more parts than before");
    assert_eq!(count(&again), count(&root));
    assert_eq!(again.write(), written, "written twice is not the same");
    reports(&root, data.len());
    let plain = Part::parse(data).expect("as before");
    plain.make_plain();
    let plain = plain.write();
    assert!(plain.len() <= 16 * data.len() + 4096, "{} bytes of {}", plain.len(), data.len());
    let rebuilt = root.rebuild().write();
    assert!(Part::parse(&rebuilt).is_ok());
    assert!(!rebuilt.contains(&0));
    let _ = has_bare_ending(&rebuilt);
    let structure = root.structure();
    assert!(structure.attachments.len() <= count(&root));
}

fn reports(root: &Part, bytes: usize) {
    let all = [
        delivery_report(root).ok().flatten(),
        feedback_report(root).ok().flatten(),
        qmail_report(root),
    ];
    for report in all.into_iter().flatten() {
        let recipients = report.get("per_recipient").and_then(Value::as_array);
        assert!(recipients.is_none_or(|list| list.len() <= MAX_REPORT_RECIPIENTS));
        // A byte may be replaced by three, and escaped in JSON by six; names are ours.
        assert!(report.to_string().len() <= 32 * bytes + 4096);
    }
}

/// Messages of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let all: [&str; 6] = [
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nFailed.\r\n--b\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\nArrival-Date: Sun, 22 Nov 2026 \
         15:02:49 +0000\r\n\r\nFinal-Recipient: rfc822; u@dst.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n--b--\r\n",
        "Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\n\r\nSpam.\r\n--b\r\n\
         Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
         Source-IP: 192.0.2.1\r\nOriginal-Rcpt-To: u@dst.test\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
         X-KumoRef: eyJfQF8iOiJcXF8vIn0=\r\n\r\nhi\r\n--b--\r\n",
        "From: MAILER-DAEMON@mx.test\r\n\r\nHi. This is the qmail-send program at mx.test.\r\nSorry.\r\n\r\n\
         <u@dst.test>:\r\n192.0.2.1 does not like recipient.\r\nRemote host said: 550 5.1.1 no\r\n\r\n\
         --- Below this line is a copy of the message.\r\n\r\nSubject: x\r\n\r\nhi\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\nbefore\r\n--a\r\nContent-Type: multipart/alternative; \
         boundary=c\r\n\r\n--c\r\n\r\ntext\r\n--c\r\nContent-Type: text/html; charset=iso-8859-1\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4=\r\n<b>\r\n--c--\r\n--a\r\nContent-Disposition: attachment; \
         filename*=utf-8''%c3%a4\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--a--\r\nafter\r\n",
        "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n----\n",
        "Subject: =?utf-8?b?w7w=?=\n\nplain\nand \u{fc}\n",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_reports() {
        let found = |seed: &Vec<u8>| {
            let root = Part::parse(seed).unwrap();
            let all = [
                delivery_report(&root).unwrap(),
                feedback_report(&root).unwrap(),
                qmail_report(&root),
            ];
            all.iter().position(Option::is_some)
        };
        let reports: Vec<Option<usize>> = seeds().iter().map(found).collect();
        assert_eq!(reports[..4], [Some(0), Some(1), Some(2), None]);
        assert!(seeds()[3..5].iter().all(|seed| count(&Part::parse(seed).unwrap()) > 1));
    }
}

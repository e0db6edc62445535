//! Reports about mail sent earlier (RFC 3464, RFC 5965), as `log_oob` and `log_arf` of the recipient's domain want them.

use crate::limits::{REPORT_BYTES_MAX, REPORT_HEADER_BYTES, REPORT_RECIPIENTS_MAX};
use crate::origin::ClientSession;
use crate::received::record_reception;
use ringmta_events::record::{Client, Kind, Record};
use ringmta_policy::mime::{delivery_report, feedback_report, is_qmail_bounce, qmail_report, Part};
use ringmta_policy::time::parse_rfc3339;
use ringmta_policy::{EnvelopeAddress, HeaderBlock, Message, Meta, PolicyError, ReportHandling};
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use serde_json::Value;
use std::rc::Rc;

/// What a message is.
pub enum Verdict {
    /// Mail like any other.
    Mail,
    /// A report, of which records are made; it is relayed or dropped.
    Report {
        /// For [`log`].
        report: Report,
        /// It also goes its way.
        relay: bool,
    },
    /// No report, to a domain that takes nothing else.
    Refused,
}

/// A report that was read.
pub enum Report {
    /// Of failed deliveries.
    OutOfBand {
        /// What it says.
        report: Value,
        /// It also goes its way: that it was received is told there.
        is_relayed: bool,
    },
    /// Of a complaint.
    Feedback(Value),
}

/// Looks whether `message` is a report that its recipient's domain wants to have logged.
///
/// # Errors
/// A handler's refusal or failure.
pub async fn look(source: &ClientSession<'_>, message: &Message) -> Result<Verdict, PolicyError> {
    let only = message.with_recipients(|to| to.iter().any(|r| source.reports_only.contains(r)));
    let otherwise = if only { Verdict::Refused } else { Verdict::Mail };
    let body = message.body().unwrap_or_default();
    if !is_report(message, &body) {
        return Ok(otherwise);
    }
    let first = message.with_recipients(|to| to.first().map(EnvelopeAddress::routing_domain));
    let domain = first.unwrap_or_default();
    let found = source.policy.listener_domain(&domain, source.listener, source.meta).await?;
    // What a report says stands in front of the message it is about: of a large one the first part is read. Strangers send
    // these, and what is parsed is in memory several times.
    let read = &body[..body.len().min(REPORT_BYTES_MAX)];
    let (Some(domain), Ok(root)) = (found, Part::parse(read)) else { return Ok(otherwise) };
    let wanted = [
        (domain.log_arf, feedback_report(&root).ok().flatten().map(Report::Feedback)),
        (
            domain.log_oob,
            bounce(&root).map(|report| Report::OutOfBand { report, is_relayed: false }),
        ),
    ];
    for (handling, report) in wanted {
        if let (Some(mut report), true) = (report, handling != ReportHandling::Ignore) {
            let relay = handling == ReportHandling::LogThenRelay;
            if let Report::OutOfBand { is_relayed, .. } = &mut report {
                *is_relayed = relay;
            }
            return Ok(Verdict::Report { report, relay });
        }
    }
    Ok(otherwise)
}

/// A failure in the standard's form, or in that of qmail.
fn bounce(root: &Part) -> Option<Value> {
    delivery_report(root).ok().flatten().or_else(|| qmail_report(root))
}

/// Whether the header says so, or a text without a sender begins as qmail's do; the rest is for the parser.
fn is_report(message: &Message, body: &[u8]) -> bool {
    const KIND: &[u8] = b"multipart/report";
    let block = HeaderBlock::new(body);
    if message.sender().is_null() && is_qmail_bounce(&body[block.body_start()..]) {
        return true;
    }
    let Some(field) = block.first("Content-Type") else { return false };
    field.value.trim_ascii().get(..KIND.len()).is_some_and(|v| v.eq_ignore_ascii_case(KIND))
}

/// Makes the records of a report.
pub fn log(shard: &Rc<Shard>, source: &ClientSession<'_>, message: &Message, report: &Report) {
    match report {
        Report::OutOfBand { report, is_relayed } => {
            if !is_relayed {
                shard.metrics.received_smtp.inc();
                let queue = message.queue_name().to_string();
                record_reception(shard, message, &queue, Some(source));
            }
            out_of_band(shard, source, message, report);
        }
        Report::Feedback(report) => {
            let response = Response { code: 250, ..Response::default() };
            let recipients = message.recipients();
            let queue = message.queue_name().to_string();
            let mut record = record(source, Kind::Feedback, message, &response, &recipients);
            record.queue = &queue;
            record.feedback = Some(report);
            record.client =
                Some(Client { name: source.origin.client_name, addr: source.origin.client_addr });
            record.size = message.body_size();
            shard.events.record(&record, Some(message));
        }
    }
}

/// A record for each recipient the report says delivery has failed to. Its sender is the address that the report came to, by
/// which a policy knows whose mail failed (VERP); a report itself has none.
fn out_of_band(shard: &Rc<Shard>, source: &ClientSession<'_>, message: &Message, report: &Value) {
    let reporter = report["per_message"]["reporting_mta"]["name"].as_str().unwrap_or_default();
    let about = report["per_recipient"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failed = about.iter().filter(|one| one["action"] == "failed");
    let short = with_short_header(message);
    let message = short.as_ref().unwrap_or(message);
    let reported_to = message
        .with_recipients(|to| to.first().map(|to| to.email().to_string()))
        .unwrap_or_default();
    let queue = message.queue_name().to_string();
    for one in failed.take(REPORT_RECIPIENTS_MAX) {
        let named = |field: &str| {
            EnvelopeAddress::parse(one[field]["recipient"].as_str()?.trim_matches(['<', '>'])).ok()
        };
        let Some(recipient) = named("original_recipient").or_else(|| named("final_recipient"))
        else {
            continue;
        };
        let response = response_of(one);
        let recipients = [recipient];
        let mut record = record(source, Kind::Oob, message, &response, &recipients);
        record.sender.clone_from(&reported_to);
        record.queue = &queue;
        record.client = Some(Client { name: reporter, addr: source.origin.client_addr });
        record.happened = one["last_attempt_date"].as_str().and_then(parse_rfc3339);
        shard.events.record(&record, Some(message));
    }
}

/// A message of a header longer than records are made of, cut to that: each of its records reads it, and strangers
/// choose how long it is.
fn with_short_header(message: &Message) -> Option<Message> {
    let body = message.body().unwrap_or_default();
    if HeaderBlock::new(&body).body_start() <= REPORT_HEADER_BYTES {
        return None;
    }
    let head = Rc::new(body[..REPORT_HEADER_BYTES].to_vec());
    let (sender, recipients) = (message.sender(), message.recipients());
    Some(Message::new(message.id(), sender, recipients, message.meta(Meta::clone), head))
}

fn record<'a>(
    source: &'a ClientSession<'_>,
    kind: Kind,
    message: &Message,
    response: &'a Response,
    recipients: &'a [EnvelopeAddress],
) -> Record<'a> {
    let mut record = Record::of_message(kind, message, "", response);
    record.size = 0;
    record.recipients = recipients;
    record.session_id = Some(source.session_id);
    record
}

/// The next hop's answer, as the report has it.
fn response_of(one: &Value) -> Response {
    let number = |name: &str| one["status"][name].as_u64().and_then(|n| u16::try_from(n).ok());
    let class = number("class").and_then(|class| u8::try_from(class).ok());
    let enhanced = match (class, number("subject"), number("detail")) {
        (Some(class), Some(subject), Some(detail)) => Some((class, subject, detail)),
        _ => None,
    };
    let diagnostic = &one["diagnostic_code"];
    let smtp =
        diagnostic["diagnostic_type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case("smtp"));
    let text = diagnostic["diagnostic"].as_str().filter(|_| smtp).unwrap_or_default();
    let (code, content) = match text.split_once([' ', '-']) {
        Some((code, rest)) => match code.parse::<u16>().ok().filter(|c| (200..600).contains(c)) {
            Some(code) => (code, rest),
            None => (550, text),
        },
        None => (550, text),
    };
    Response { code, enhanced, content: content.to_string(), command: None }
}

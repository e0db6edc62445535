//! Events as lines for people, among the diagnostics: `KUMOD_LOG=info,event=debug`, or `run --show-events`. Where nobody
//! asks for them they cost one look at a flag.

use crate::record::{Kind, Record};
use std::fmt::{self, Display};

/// Name by which a log filter asks for these lines.
const TARGET: &str = "event";

/// Whether somebody reads them.
#[inline]
pub fn is_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Says one event.
#[inline]
pub fn say(record: &Record<'_>) {
    tracing::debug!(target: TARGET, "{}", Line(record));
}

struct Line<'a>(&'a Record<'a>);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        f.write_str(record.kind.name())?;
        if let Some(id) = record.id {
            write!(f, " {id}")?;
        }
        write!(f, " from <{}>", record.sender)?;
        for (at, recipient) in record.recipients.iter().enumerate() {
            write!(f, "{} <{}>", if at == 0 { " to" } else { "," }, recipient.email())?;
        }
        if record.kind == Kind::Reception {
            write!(f, ", {} bytes", record.size)?;
        }
        if let Some(client) = &record.client {
            write!(f, ", by {} [{}]", client.name, client.addr)?;
        }
        if let Some(via) = record.via.filter(|via| !via.host.is_empty()) {
            write!(f, ", by {}", via.host)?;
            via.peer.map_or(Ok(()), |peer| write!(f, " [{peer}]"))?;
        }
        if record.kind == Kind::TransientFailure {
            write!(f, ", attempt {}", record.num_attempts + 1)?;
        }
        if record.response.code != 0 {
            write!(f, ": {}", record.response.code)?;
            if let Some((class, subject, detail)) = record.response.enhanced {
                write!(f, " {class}.{subject}.{detail}")?;
            }
            write!(f, " {}", record.response.content)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_mail::EnvelopeAddress;
    use ringmta_smtp::response::Response;

    #[test]
    fn an_event_is_one_readable_line() {
        let response = Response {
            code: 451,
            enhanced: Some((4, 7, 1)),
            content: "later".into(),
            command: None,
        };
        let recipients = ["u@dst.example", "v@dst.example"];
        let recipients = recipients.map(|one| EnvelopeAddress::parse(one).unwrap());
        let record = Record {
            kind: Kind::TransientFailure,
            id: None,
            sender: "a@src.example".into(),
            recipients: &recipients,
            queue: "dst.example",
            size: 10,
            response: &response,
            num_attempts: 2,
            via: None,
            client: None,
            tls: None,
            reception_protocol: None,
            session_id: None,
            feedback: None,
            happened: None,
        };
        assert_eq!(
            Line(&record).to_string(),
            "TransientFailure from <a@src.example> to <u@dst.example>, <v@dst.example>, attempt 3: 451 4.7.1 later"
        );
    }
}

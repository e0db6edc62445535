//! RCPT TO (RFC 5321 section 4.1.1.3).

use super::command::parse_path;
use super::reply::{Refusal, Reply};
use super::session::{Ask, Asked, Session, Step};
use ringmta_policy::EnvelopeAddress;

impl Session {
    pub(super) fn on_rcpt(&mut self, argument: &str) -> Option<Step> {
        if self.sender.is_none() {
            return self.refuse(Refusal::BadSequence);
        }
        if self.recipients.len() >= self.params.recipients_max {
            return self.refuse(Refusal::TooManyRecipients);
        }
        let address = parse_path(argument).and_then(|(path, _)| EnvelopeAddress::parse(path).ok());
        let Some(address) = address.filter(|address| !address.is_null()) else {
            return self.refuse(Refusal::BadRecipient);
        };
        self.asked_address = Some(address.clone());
        Some(self.ask(Asked::Rcpt, Ask::Rcpt(address)))
    }

    pub(super) fn after_rcpt(&mut self) {
        self.recipients.extend(self.asked_address.take());
        self.push(Reply::fixed(250, "2.1.5 OK"));
    }
}

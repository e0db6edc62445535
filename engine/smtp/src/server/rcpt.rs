//! RCPT TO (RFC 5321 section 4.1.1.3).

use crate::reply::{Refusal, Reply};
use crate::server::command::parse_path;
use crate::server::parameters;
use crate::server::session::Session;
use crate::server::vocabulary::{Ask, Asked, Step};
use ringmta_mail::EnvelopeAddress;

impl Session {
    pub(super) fn on_rcpt(&mut self, argument: &str) -> Option<Step> {
        if self.sender.is_none() {
            return self.refuse(Refusal::BadSequence);
        }
        if self.recipients.len() >= self.params.recipients_max {
            // No error of the client's: the rest goes in a further transaction (RFC 5321 section 4.5.3.1.10).
            self.push(Refusal::TooManyRecipients.reply());
            return None;
        }
        let Some((path, parameters)) = parse_path(argument) else {
            return self.refuse(Refusal::BadRecipient);
        };
        // RFC 5321 section 4.5.1: the one mailbox that needs no domain.
        let parsed = match path.eq_ignore_ascii_case("postmaster") {
            true => EnvelopeAddress::parse(&format!("{path}@{}", self.params.hostname)),
            false => EnvelopeAddress::parse(path),
        };
        let Some(address) = parsed.ok().filter(|address| !address.is_null()) else {
            return self.refuse(Refusal::BadRecipient);
        };
        match parameters::rcpt(parameters) {
            Ok(parameters) => self.asked_rcpt = parameters,
            Err(refusal) => return self.refuse(refusal),
        }
        self.asked_address = Some(address.clone());
        Some(self.ask(Asked::Rcpt, Ask::Rcpt(address)))
    }

    pub(super) fn after_rcpt(&mut self) {
        let asked = std::mem::take(&mut self.asked_rcpt);
        if let (Some(address), Some(wanted)) = (&self.asked_address, asked.to_json()) {
            self.wanted.insert(address.email().to_string(), wanted);
        }
        self.recipients.extend(self.asked_address.take());
        self.push(Reply::fixed(250, "2.1.5 OK"));
    }
}

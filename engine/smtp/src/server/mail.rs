//! MAIL FROM (RFC 5321 section 4.1.1.2) and its parameters.

use crate::reply::{Refusal, Reply};
use crate::server::command::parse_path;
use crate::server::dot_reader::DataFault;
use crate::server::parameters;
use crate::server::session::Session;
use crate::server::vocabulary::{Ask, Asked, Step};
use ringmta_io::receiving;
use ringmta_mail::EnvelopeAddress;

impl Session {
    pub(super) fn on_mail(&mut self, argument: &str) -> Option<Step> {
        if self.sender.is_some() {
            return self.refuse(Refusal::BadSequence);
        }
        if self.messages >= self.params.messages_max {
            self.end(Refusal::TooManyMessages);
            return None;
        }
        let Some((address, parameters)) = parse_path(argument) else {
            return self.refuse(Refusal::BadSender);
        };
        let Ok(address) = EnvelopeAddress::parse(address) else {
            return self.refuse(Refusal::BadSender);
        };
        let offers_auth = self.tls || self.params.auth_in_clear;
        match parameters::mail(parameters, self.params.size_max, offers_auth) {
            // Who says how much it is need not send it in vain.
            Ok(parameters) if !receiving::has_room(parameters.size, self.peer) => {
                return self.refuse(Refusal::Data(DataFault::NoMemory));
            }
            Ok(parameters) => self.mail = parameters,
            Err(refusal) => return self.refuse(refusal),
        }
        self.asked_address = Some(address.clone());
        Some(self.ask(Asked::Mail, Ask::Mail(address)))
    }

    pub(super) fn after_mail(&mut self) {
        self.sender = self.asked_address.take();
        self.push(Reply::fixed(250, "2.1.0 OK"));
    }
}

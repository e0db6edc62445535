//! MAIL FROM (RFC 5321 section 4.1.1.2) and its parameters.

use super::command::parse_path;
use super::dot_reader::DataFault;
use super::reply::{Refusal, Reply};
use super::session::{Ask, Asked, Session, Step};
use ringmta_policy::EnvelopeAddress;

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
        if let Err(refusal) = self.mail_parameters(parameters) {
            return self.refuse(refusal);
        }
        self.asked_address = Some(address.clone());
        Some(self.ask(Asked::Mail, Ask::Mail(address)))
    }

    /// SIZE (RFC 1870) and BODY (RFC 6152) are looked at; what else is well-formed is taken.
    fn mail_parameters(&mut self, parameters: &str) -> Result<(), Refusal> {
        self.declared_size = 0;
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.is_empty() {
                return Err(Refusal::BadParameter);
            }
            if name.eq_ignore_ascii_case("SIZE") {
                let size: usize = value.parse().map_err(|_| Refusal::BadParameter)?;
                if size > self.params.size_max {
                    return Err(Refusal::Data(DataFault::TooLarge));
                }
                self.declared_size = size;
            } else if name.eq_ignore_ascii_case("BODY")
                && !["7BIT", "8BITMIME"].iter().any(|known| value.eq_ignore_ascii_case(known))
            {
                return Err(Refusal::BadParameter);
            }
        }
        Ok(())
    }

    pub(super) fn after_mail(&mut self) {
        self.sender = self.asked_address.take();
        self.push(Reply::fixed(250, "2.1.0 OK"));
    }
}

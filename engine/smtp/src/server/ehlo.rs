//! EHLO and HELO (RFC 5321 section 4.1.1.1).

use crate::reply::{Refusal, Reply};
use crate::server::session::Session;
use crate::server::vocabulary::{Answer, Ask, Asked, Step};

impl Session {
    pub(super) fn on_ehlo(&mut self, domain: &str, extended: bool) -> Option<Step> {
        if domain.is_empty() || domain.contains(' ') || domain.len() > 255 {
            return self.refuse(Refusal::BadDomain);
        }
        self.reset_transaction();
        self.greeted = Some(domain.to_string());
        self.extended = extended;
        let extensions = if extended { self.extensions() } else { Vec::new() };
        let ask = Ask::Ehlo { domain: domain.to_string(), extended, extensions };
        Some(self.ask(Asked::Ehlo, ask))
    }

    /// Keywords this session may use now.
    fn extensions(&self) -> Vec<String> {
        let mut list: Vec<String> =
            ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8"].map(String::from).into();
        list.push(format!("SIZE {}", self.params.size_max));
        if self.params.tls && !self.tls {
            list.push("STARTTLS".into());
        }
        if self.tls || self.params.auth_in_clear {
            list.push("AUTH PLAIN LOGIN".into());
        }
        if self.params.xclient {
            list.push(crate::server::xclient::OFFER.into());
        }
        list
    }

    pub(super) fn after_ehlo(&mut self, answer: Answer) {
        let client = self.greeted.clone().unwrap_or_default();
        let mut text = format!("{} Hello {client}", self.params.hostname);
        let extensions = match answer {
            Answer::Extensions(list) => list,
            _ if self.extended => self.extensions(),
            _ => Vec::new(),
        };
        for extension in extensions {
            text.push('\n');
            text.push_str(&extension);
        }
        self.push(Reply::new(250, text));
    }
}

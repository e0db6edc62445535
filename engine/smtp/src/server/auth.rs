//! AUTH PLAIN (RFC 4616) and LOGIN (RFC 4954).

use crate::reply::{Refusal, Reply};
use crate::server::session::Session;
use crate::server::vocabulary::Exchange;
use crate::server::vocabulary::{Ask, Asked, Secret, Step};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;

impl Session {
    pub(super) fn on_auth(&mut self, argument: &str) -> Option<Step> {
        if self.authenticated {
            return self.refuse(Refusal::AuthTwice);
        }
        if self.sender.is_some() || self.greeted.is_none() {
            return self.refuse(Refusal::BadSequence);
        }
        if !self.tls && !self.params.auth_in_clear {
            return self.refuse(Refusal::AuthNeedsTls);
        }
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial.trim())),
            None => (argument, None),
        };
        if mechanism.eq_ignore_ascii_case("PLAIN") {
            match initial {
                Some(initial) => self.auth_line(Exchange::Plain, initial),
                None => self.challenge("", Exchange::Plain),
            }
        } else if mechanism.eq_ignore_ascii_case("LOGIN") {
            match initial {
                Some(initial) => self.auth_line(Exchange::LoginName, initial),
                None => self.challenge("VXNlcm5hbWU6", Exchange::LoginName),
            }
        } else {
            self.refuse(Refusal::AuthMechanism)
        }
    }

    fn challenge(&mut self, text: &'static str, next: Exchange) -> Option<Step> {
        self.push(Reply::fixed(334, text));
        self.enter_auth(next);
        None
    }

    /// A line of the exchange. It never reaches a reply or a log.
    pub(super) fn auth_line(&mut self, exchange: Exchange, line: &str) -> Option<Step> {
        if line == "*" {
            return self.refuse(Refusal::AuthCancelled);
        }
        let line = if line == "=" { "" } else { line };
        let decoded = STANDARD.decode(line).ok().and_then(|raw| String::from_utf8(raw).ok());
        let Some(text) = decoded else {
            return self.refuse(Refusal::AuthSyntax);
        };
        match exchange {
            Exchange::Plain => {
                let mut parts = text.split('\0');
                let (Some(authz), Some(authc), Some(password), None) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    return self.refuse(Refusal::AuthSyntax);
                };
                self.ask_auth(authz, authc, password)
            }
            Exchange::LoginName => {
                self.challenge("UGFzc3dvcmQ6", Exchange::LoginPassword { name: text })
            }
            Exchange::LoginPassword { name } => self.ask_auth("", &name, &text),
        }
    }

    fn ask_auth(&mut self, authz: &str, authc: &str, password: &str) -> Option<Step> {
        if authc.is_empty() {
            return self.refuse(Refusal::AuthSyntax);
        }
        let authz = if authz.is_empty() { authc } else { authz };
        let ask = Ask::Auth {
            authz: authz.to_string(),
            authc: authc.to_string(),
            password: Secret(password.to_string()),
        };
        Some(self.ask(Asked::Auth, ask))
    }
}

//! STARTTLS (RFC 3207).

use crate::reply::{Refusal, Reply};
use crate::server::session::Session;
use crate::server::vocabulary::Step;

impl Session {
    pub(super) fn on_starttls(&mut self) -> Option<Step> {
        if !self.params.tls {
            return self.refuse(Refusal::Unimplemented);
        }
        if self.tls {
            return self.refuse(Refusal::BadSequence);
        }
        self.push(Reply::fixed(220, "2.0.0 Ready to start TLS"));
        Some(Step::StartTls)
    }

    /// The handshake is done: everything learned in the clear is forgotten (RFC 3207 4.2).
    pub fn tls_started(&mut self) {
        self.tls = true;
        self.greeted = None;
        self.extended = false;
        self.authenticated = false;
        self.reset_transaction();
        self.enter_commands();
    }
}

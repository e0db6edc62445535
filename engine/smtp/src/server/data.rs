//! DATA (RFC 5321 section 4.1.1.4).

use crate::international::SMTPUTF8;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::reply::{Refusal, Reply};
use crate::server::dot_reader::DotReader;
use crate::server::session::Session;
use crate::server::vocabulary::{Ask, Asked, DataState, Step, Transaction};
use ringmta_io::receiving::Held;
use ringmta_mail::Meta;

/// First size of a body's memory. It grows with what comes: a size the client declares is only its word.
const BODY_START_BYTES: usize = 16 * 1024;

impl Session {
    pub(super) fn on_data(&mut self) -> Option<Step> {
        if self.sender.is_none() || self.recipients.is_empty() {
            return self.refuse(Refusal::BadSequence);
        }
        Some(self.ask(Asked::Data, Ask::Data))
    }

    pub(super) fn after_data(&mut self) {
        self.push(Reply::fixed(354, "Go ahead, end with <CRLF>.<CRLF>"));
        let params = &self.params;
        let size_max = params.size_max.min(MESSAGE_BYTES_MAX);
        let reader = DotReader::new(params.bare, size_max, params.line_max);
        let body = Vec::with_capacity(BODY_START_BYTES);
        self.enter_data(DataState { reader, body, held: Held::of(self.peer) });
    }

    /// What the client asked for beside the addresses, as metadata of the message.
    fn transaction_meta(&mut self) -> Meta {
        let mut meta = Meta::new();
        if self.mail.smtputf8 {
            meta.insert(SMTPUTF8.into(), true.into());
        }
        let mut dsn = Meta::new();
        for (name, value) in [("ret", self.mail.ret.take()), ("envid", self.mail.envid.take())] {
            dsn.extend(value.map(|value| (name.to_string(), value.into())));
        }
        if !self.wanted.is_empty() {
            dsn.insert("recipients".into(), std::mem::take(&mut self.wanted).into());
        }
        if !dsn.is_empty() {
            meta.insert("dsn".into(), dsn.into());
        }
        meta
    }

    /// The final dot has come.
    pub(super) fn data_done(&mut self) -> Option<Step> {
        let data = self.take_data()?;
        self.messages += 1;
        if let Some(fault) = data.reader.fault() {
            self.push(Refusal::Data(fault).reply());
            self.reset_transaction();
            return None;
        }
        // They stay known here until the answer: a refusal's record names them.
        let sender = self.sender.clone()?;
        let recipients = self.recipients.clone();
        let meta = self.transaction_meta();
        let DataState { body, held, .. } = *data;
        let transaction = Transaction { sender, recipients, body, meta, held };
        Some(self.ask(Asked::Message, Ask::Message(transaction)))
    }
}

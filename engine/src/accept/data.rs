//! DATA (RFC 5321 section 4.1.1.4).

use super::dot_reader::DotReader;
use super::reply::{Refusal, Reply};
use super::session::{Ask, Asked, DataState, Session, Step, Transaction};
use crate::limits::MESSAGE_BYTES_MAX;

/// First size of a body's memory when the client did not declare one.
const BODY_START_BYTES: usize = 16 * 1024;
/// Room kept for the headers that will be put in front.
const TRACE_BYTES: usize = 1024;

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
        // A declared size is the client's word: it saves growing, within reason.
        let start = self.declared_size.clamp(BODY_START_BYTES, 1 << 20);
        let reader = DotReader::new(params.bare, size_max, params.line_max);
        self.enter_data(DataState { reader, body: Vec::with_capacity(start + TRACE_BYTES) });
    }

    /// The final dot has come.
    pub(super) fn data_done(&mut self) -> Option<Step> {
        let data = self.take_data()?;
        self.messages += 1;
        if let Some(fault) = data.reader.fault() {
            self.reset_transaction();
            self.push(Refusal::Data(fault).reply());
            return None;
        }
        let sender = self.sender.take()?;
        let recipients = std::mem::take(&mut self.recipients);
        let transaction = Transaction { sender, recipients, body: data.body };
        Some(self.ask(Asked::Message, Ask::Message(transaction)))
    }
}

//! The record that a message was received.

use crate::origin::ClientSession;
use ringmta_events::record::{Client, Kind, Record};
use ringmta_policy::Message;
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::TlsInfo;
use std::rc::Rc;

/// Tells that a message was received, into `queue`.
pub fn record_reception(
    shard: &Rc<Shard>,
    message: &Message,
    queue: &str,
    source: Option<&ClientSession<'_>>,
) {
    if !shard.events.wants(Kind::Reception) {
        return;
    }
    let response = Response { code: 250, ..Response::default() };
    let recipients = message.recipients();
    let mut record = Record::of_message(Kind::Reception, message, queue, &response);
    record.recipients = &recipients;
    record.client = source
        .map(|source| Client { name: source.origin.client_name, addr: source.origin.client_addr });
    record.session_id = source.map(|source| source.session_id);
    record.tls = source.and_then(|_| message.meta(TlsInfo::of_meta));
    shard.events.record(&record, Some(message));
}

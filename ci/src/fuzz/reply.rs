//! Replies of a next hop: the same however they are cut, within their limits.

use ringmta_smtp::limits::REPLY_BYTES_MAX;
use ringmta_smtp::response::{ReplyFault, ReplyReader, Response};

fn read(wire: &[u8], cut: usize) -> (Vec<Response>, Option<ReplyFault>) {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    for chunk in wire.chunks(cut.max(1)) {
        reader.push(chunk);
        loop {
            match reader.next_reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(fault) => return (replies, Some(fault)),
            }
        }
    }
    (replies, None)
}

/// The first byte says how the rest is cut.
pub fn check(data: &[u8]) {
    let Some((cut, wire)) = data.split_first() else { return };
    let (replies, fault) = read(wire, wire.len());
    assert_eq!((replies.clone(), fault), read(wire, usize::from(*cut)));
    for reply in &replies {
        assert!((200..600).contains(&reply.code));
        // A byte that is no UTF-8 becomes three.
        assert!(reply.content.len() <= 3 * REPLY_BYTES_MAX);
        let lines = reply.content.split('\n').count();
        assert!(lines <= ringmta_smtp::limits::REPLY_LINES_MAX);
    }
}

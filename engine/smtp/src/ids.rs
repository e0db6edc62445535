//! Message ids: version 1 UUIDs, so that an id tells when its message was accepted.

use ringmta_io as io;
use ringmta_mail::MessageId;
use std::cell::Cell;

/// Makes ids for one shard; no two are equal, also over restarts and shards.
pub struct IdSource {
    last_nanos: Cell<u64>,
    clock_sequence: u16,
    node: [u8; 6],
}

impl IdSource {
    /// A source for `shard`.
    pub fn new(shard: usize) -> IdSource {
        let random = io::unguessable_u64().to_le_bytes();
        // The multicast bit marks a node number that is no network card's (RFC 9562 6.10).
        let node = [random[0] | 1, random[1], random[2], random[3], random[4], shard as u8];
        let clock_sequence = u16::from_le_bytes([random[5], random[6]]) & 0x3fff;
        IdSource { last_nanos: Cell::new(0), clock_sequence, node }
    }

    /// The next id and its time of creation, unix nanoseconds. Ids count in ticks of 100 ns and
    /// never go back, whatever the clock does.
    pub fn next(&self) -> (MessageId, u64) {
        let now = (io::steady_nanos() / 100 * 100).max(self.last_nanos.get() + 100);
        self.last_nanos.set(now);
        (MessageId::new_v1(now, self.clock_sequence, self.node), now)
    }
}

/// A random UUID (version 4) as text.
pub fn random_uuid() -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&io::unguessable_u64().to_ne_bytes());
    bytes[8..].copy_from_slice(&io::unguessable_u64().to_ne_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

//! What tests of partitions share: folders of small files, and mail to put into them.

use crate::location::Location;
use crate::log::partition::{Partition, SpoolPaths};
use ringmta_mail::{EnvelopeAddress, Message, MessageId, Meta};
use ringmta_smtp::ids::IdSource;
use std::rc::Rc;

/// Folders of a simulated disk, whose files are full soon.
pub(crate) fn small_paths() -> SpoolPaths {
    let mut paths = SpoolPaths::new("/spool/data".into(), "/spool/meta".into(), true);
    (paths.segment_bytes, paths.journal_bytes) = (128 * 1024, 16 * 1024);
    paths
}

/// Makes messages of one size.
pub(crate) struct Writer {
    ids: IdSource,
    body: Rc<Vec<u8>>,
}

impl Writer {
    /// For `shard`, with bodies of about `bytes`.
    pub(crate) fn new(shard: usize, bytes: usize) -> Writer {
        let mut body = b"Subject: one of many\r\n\r\n".to_vec();
        while body.len() < bytes {
            body.extend_from_slice(b"of many\r\n");
        }
        Writer { ids: IdSource::new(shard), body: Rc::new(body) }
    }

    /// Stores one; its id, and where it is.
    pub(crate) async fn store(&self, partition: &Partition) -> (MessageId, Location) {
        let to = vec![EnvelopeAddress::parse("r@dst.test").unwrap()];
        let sender = EnvelopeAddress::parse("s@src.test").unwrap();
        let message = Message::new(self.ids.next().0, sender, to, Meta::new(), self.body.clone());
        let at = partition.store(&message, &self.body).unwrap().await.unwrap();
        (message.id(), at)
    }
}

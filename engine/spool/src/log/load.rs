//! A message read back from its segment.

use crate::location::Location;
use crate::log::partition::Partition;
use crate::log::record;
use crate::log::record::Found;
use ringmta_mail::{schedule, Message};
use std::rc::Rc;

/// Reads the message at `at`.
///
/// # Errors
/// A text that says what stood in the way: the disk, or damage.
pub async fn load(partition: &Partition, at: Location) -> Result<Message, String> {
    let mut present = partition.moved.current(at);
    loop {
        let read = load_from(partition, present).await;
        // Compaction may have moved it while it was read.
        let now = partition.moved.current(at);
        if read.is_ok() || now == present {
            return read;
        }
        present = now;
    }
}

async fn load_from(partition: &Partition, at: Location) -> Result<Message, String> {
    let segment = partition
        .segments
        .segment(at.segment)
        .ok_or_else(|| format!("segment {} is not there", at.segment))?;
    let bytes = segment
        .file
        .read_at(u64::from(at.offset), at.bytes as usize)
        .await
        .map_err(|error| format!("{}: {error}", segment.path.display()))?;
    if record::probe(&bytes, segment.sequence, segment.salt) != Found::Record(at.bytes as usize) {
        return Err(format!("{} offset {}: damaged record", segment.path.display(), at.offset));
    }
    let mut stored = record::parse(&bytes)
        .map_err(|fault| format!("{} offset {}: {fault}", segment.path.display(), at.offset))?;
    let body = Rc::new(stored.body.to_vec());
    let scheduling = schedule::taken_from(&mut stored.meta);
    let message = Message::new(stored.id, stored.sender, stored.recipients, stored.meta, body);
    if scheduling.is_some() {
        message.set_scheduling(scheduling);
        message.clear_changes();
    }
    Ok(message)
}

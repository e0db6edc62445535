//! Messages of another partition stored in this one: of a shard that exists no more, or of a folder that came from elsewhere.

use crate::error::StoreError;
use crate::location::Location;
use crate::log::partition::Partition;
use crate::start::recover::{self, Recovered, Report};
use ringmta_io::{self as io, File};
use ringmta_mail::MessageId;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Stores every live message of another partition in this one, then removes the other, and
/// adds them to `live`. What an adoption cut short by a crash has already copied is not copied
/// again; nothing can have been delivered in between.
pub(super) async fn adopt(
    partition: &Partition,
    data: &Path,
    meta: &Path,
    live: &mut Vec<Recovered>,
    known: &mut Known,
) -> std::io::Result<Report> {
    io::fs::create_dir_all(meta).await?;
    let found = recover::read(data, meta).await?;
    let count = found.live.len();
    let mut by_segment: BTreeMap<u32, Vec<Recovered>> = BTreeMap::new();
    for message in found.live {
        by_segment.entry(message.at.segment).or_default().push(message);
    }
    for entry in &found.in_use {
        let messages = by_segment.remove(&entry.segment.sequence).unwrap_or_default();
        take_in(partition, messages, &entry.segment.file, live, known).await?;
    }
    for stray in found.strays {
        take_in(partition, stray.messages, &stray.file, live, known).await?;
    }
    partition.flush_journal().await?;
    // The data first: without its journal it would tell of messages long done.
    io::fs::remove_dir_all(data).await?;
    io::fs::remove_dir_all(meta).await?;
    tracing::info!("spool: adopted {count} messages of {}", data.display());
    Ok(found.report)
}

/// Stores `messages` of `file` anew and adds them to `live`, but for those it has already.
pub(super) async fn take_in(
    partition: &Partition,
    messages: Vec<Recovered>,
    file: &File,
    live: &mut Vec<Recovered>,
    known: &mut Known,
) -> std::io::Result<()> {
    // Of two records of one message the latest counts.
    let mut messages = messages;
    messages.sort_by_key(|message| std::cmp::Reverse((message.generation, message.at)));
    for mut message in messages {
        let index = match known.get(&message.id) {
            Some(index) => *index,
            None => {
                message.at = copy_record(partition, file, &message).await?;
                known.insert(message.id, live.len());
                live.push(Recovered { state: None, ..message.clone() });
                live.len() - 1
            }
        };
        // Its attempts may not have come with a copy made before the crash.
        if let (None, Some(state)) = (live[index].state, message.state) {
            live[index].at = partition.attempted(live[index].at, state);
            live[index].state = Some(state);
        }
    }
    Ok(())
}

async fn copy_record(
    partition: &Partition,
    file: &File,
    message: &Recovered,
) -> std::io::Result<Location> {
    let at = message.at;
    let bytes = file.read_at(u64::from(at.offset), at.bytes as usize).await?;
    let stored = crate::log::record::parse(&bytes).map_err(std::io::Error::other)?;
    let failed = |error: StoreError| std::io::Error::other(error.to_string());
    partition.commits.append(&stored.as_new()).map_err(failed)?.await.map_err(failed)
}

/// Where in a list of messages each is.
pub(super) type Known = HashMap<MessageId, usize>;

/// Where each of `live` is.
pub(super) fn known(live: &[Recovered]) -> Known {
    live.iter().enumerate().map(|(index, message)| (message.id, index)).collect()
}

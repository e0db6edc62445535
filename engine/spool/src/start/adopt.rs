//! Messages of another partition stored in this one: of a shard that exists no more, or of a folder that came from elsewhere.

use crate::error::StoreError;
use crate::location::Location;
use crate::log::journal::{Files, Journal};
use crate::log::partition::Partition;
use crate::log::reclaim::Segments;
use crate::start::recover::{self, Recovered, Report};
use ringmta_io::limits::BLOCK_BYTES;
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
    match give_up(meta, found.partition, found.last_sequence, &found.journal).await {
        // Its folders go all the same: only a crash right now would be told of as a loss.
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            tracing::warn!("spool: {}: {error}", meta.display());
        }
        given_up => given_up?,
    }
    // The data first: without its journal it would tell of messages long done.
    io::fs::remove_dir_all(data).await?;
    io::fs::remove_dir_all(meta).await?;
    tracing::info!("spool: adopted {count} messages of {}", data.display());
    Ok(found.report)
}

/// Says in the journal of a partition that nothing in it matters any more. A crash may leave a part of its folders
/// behind, and the next start may have a shard for them: that misses nothing then, and takes nothing twice.
async fn give_up(
    meta: &Path,
    partition: u64,
    last_sequence: u32,
    files: &Files,
) -> std::io::Result<()> {
    let nothing = Segments::new(meta.to_path_buf(), partition, true, 0);
    nothing.note_sequence(last_sequence);
    let journal = Journal::new(meta.to_path_buf(), partition, true, BLOCK_BYTES as u64);
    journal.resume(files);
    journal.rotate(&nothing).await?;
    // Were that file's name gone before this one's, the one before it would speak again.
    journal.remove_spare().await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::reclaim::AttemptState;
    use crate::start::open::open;
    use crate::testing::{small_paths, Writer};
    use ringmta_io::sim::crash::Crash;
    use ringmta_io::sim::exec::Node;
    use ringmta_io::sim::World;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    /// By shard.
    type Opened = Rc<RefCell<BTreeMap<usize, (Rc<Partition>, Vec<Recovered>, Report)>>>;

    fn start(world: &Rc<World>, shards: usize) -> (Node, Opened) {
        let (node, opened) = (world.exec.new_node(), Opened::default());
        for shard in 0..shards {
            let opened = opened.clone();
            world.spawn_on(node, async move {
                let one = open(&small_paths(), shard, shards).await.unwrap();
                opened.borrow_mut().insert(shard, one);
            });
        }
        (node, opened)
    }

    /// Two shards with mail that waits; those of the second, which is adopted next.
    fn fill(world: &Rc<World>) -> (Node, BTreeSet<MessageId>) {
        let (node, opened) = start(world, 2);
        world.run_until(LIMIT, 1_000_000, || opened.borrow().len() == 2).unwrap();
        let ids = Rc::new(RefCell::new(BTreeSet::new()));
        let ended = Rc::new(Cell::new(false));
        let filled = ended.clone();
        let (kept, opened) = (ids.clone(), opened.borrow_mut().remove(&1).unwrap());
        world.spawn_on(node, async move {
            let writer = Writer::new(1, 8000);
            for number in 0..20 {
                let (id, at) = writer.store(&opened.0).await;
                if number % 2 == 0 {
                    let _ = opened.0.attempted(at, AttemptState::due(1, 1_900_000_000_000));
                }
                kept.borrow_mut().insert(id);
            }
            opened.0.flush_journal().await.unwrap();
            filled.set(true);
        });
        world.run_until(LIMIT, 1_000_000, || ended.get()).unwrap();
        (node, ids.take())
    }

    /// Takes the machine away after `steps` of an adoption, and starts with as many shards as before. Whether
    /// the adoption had ended.
    fn crash_after(seed: u64, steps: usize) -> bool {
        let world = World::new(seed, false);
        let _entered = world.enter();
        let (node, expected) = fill(&world);
        world.kill(node);
        world.crash_disk(Crash::Power);
        let (node, opened) = start(&world, 1);
        for _ in 0..steps {
            world.step();
        }
        let ended = !opened.borrow().is_empty();
        world.kill(node);
        world.crash_disk(Crash::Power);
        let (_, opened) = start(&world, 2);
        world.run_until(LIMIT, 1_000_000, || opened.borrow().len() == 2).unwrap();
        let opened = opened.borrow();
        let found: BTreeSet<_> =
            opened.values().flat_map(|(_, live, _)| live).map(|m| m.id).collect();
        assert_eq!(found, expected, "seed {seed} after {steps} steps");
        let damage: Vec<_> = opened.values().flat_map(|(_, _, report)| &report.damage).collect();
        assert!(
            damage.iter().all(|one| !one.what.contains("missing")),
            "{seed} {steps}: {damage:?}"
        );
        ended
    }

    /// The part of an adopted partition that a crash leaves behind tells of no loss, whichever of its names are gone.
    #[test]
    fn a_crash_within_an_adoption_misses_nothing() {
        for seed in 0..12 {
            assert!((0..2000).any(|steps| crash_after(seed, steps)), "it ends");
        }
    }
}

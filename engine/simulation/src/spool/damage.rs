//! Bytes changed on disk: no record that was not hit may be lost for it, and a loss must be told.
//! It cannot be when the start of a record is gone and no whole record follows: that looks like a
//! place never written to. Headers of segments are left alone: without its header a segment
//! cannot be told from one never used.

use crate::options::{Options, Summary};
use crate::spool::check;
use crate::spool::check::ReadBack;
use crate::spool::stage::{Opened, Stage};
use crate::spool::stage::{START_SECS, TURNS_MAX};
use crate::spool::work;
use ringmta_io::sim::crash::Crash;
use ringmta_io::sim::rng::{Rng, MILLION};
use ringmta_policy::MessageId;
use ringmta_spool::log::header::Header;
use ringmta_spool::log::{record, segment};
use ringmta_spool::start::scan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Places hit in one run, at the most.
const HITS_MAX: u64 = 4;
/// Bytes changed at one place, at the most: some blocks.
const HIT_BYTES_MAX: u64 = 10_000;

/// A record as it lay on disk.
struct Placed {
    id: MessageId,
    start: usize,
    end: usize,
}

/// Messages of whom a record was hit.
#[derive(Default)]
struct Hit {
    all: BTreeSet<MessageId>,
    /// Those whose loss can be seen.
    seen: BTreeSet<MessageId>,
}

/// Bytes of a record by which it is known to be one.
const MARK_BYTES: usize = 24;

/// Runs one seed.
///
/// # Errors
/// The first promise broken.
pub fn run(seed: u64, options: Options) -> Result<Summary, String> {
    let stage = Stage::new(seed, options);
    let world = stage.world.clone();
    let _entered = world.enter();
    let shards = world.rng.between(1, 3) as usize;
    let node = world.exec.new_node();
    let opened = open(&stage, node, shards)?;
    stage.room.set(world.rng.between(5, crate::spool::stage::MESSAGES_MAX));
    work::begin(&stage, node, opened);
    world.run_for(Duration::from_micros(1 << world.rng.between(13, 18)));
    world.kill(node);
    world.crash_disk(if world.rng.flip() { Crash::Power } else { Crash::Process });
    world.disk.full.set(false);
    let hit = hit(&stage);
    let node = world.exec.new_node();
    let opened = open(&stage, node, shards)?;
    let found = check::read_back(&stage, node, &opened)?;
    let told = opened.iter().map(|opened| opened.report.damage.len()).sum();
    judge(&stage, &hit, &found, told)?;
    let messages = stage.model.borrow().acknowledged();
    Ok(Summary { hash: world.hash(), crashes: 1, messages })
}

fn open(stage: &Stage, node: u32, shards: usize) -> Result<Vec<Opened>, String> {
    let opened = stage.open(node, shards);
    let all_open = || opened.borrow().len() == shards;
    let limit = Duration::from_secs(START_SECS);
    let ended = stage.world.run_until(limit, TURNS_MAX, all_open);
    ended.map_err(|stuck| format!("a start never ended: {stuck:?}"))?;
    let all: Result<Vec<Opened>, _> = opened.take().into_iter().collect();
    all.map_err(|error| format!("a start failed: {error}"))
}

/// Changes bytes of segment files.
fn hit(stage: &Stage) -> Hit {
    let (world, rng) = (&stage.world, &stage.world.rng);
    let mut files: Vec<(PathBuf, Vec<u8>)> = world.disk.files();
    files.retain(|(path, bytes)| {
        path.extension().is_some_and(|ext| ext == "dat")
            && bytes.len() > segment::DATA_START as usize
    });
    let mut hit = Hit::default();
    // Where a record was hit before, none is found any more.
    let placed: Vec<Vec<Placed>> = files.iter().map(|(_, bytes)| records(bytes)).collect();
    let before: Vec<Vec<u8>> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
    for _ in 0..rng.between(1, HITS_MAX) {
        let at = rng.below(files.len() as u64) as usize;
        let Some((path, bytes)) = files.get_mut(at) else { break };
        let (start, end) = place(rng, &placed[at], bytes.len());
        world.note(format!("damage: {} {start}..{end}", path.display()));
        for byte in &mut bytes[start..end] {
            *byte = if rng.flip() { 0 } else { rng.next() as u8 };
        }
        world.disk.overwrite(path, bytes);
    }
    for ((records, before), (_, bytes)) in placed.iter().zip(&before).zip(&files) {
        note_hits(&mut hit, records, before, bytes);
    }
    hit
}

fn note_hits(hit: &mut Hit, records: &[Placed], before: &[u8], after: &[u8]) {
    let mut whole_behind = false;
    for Placed { id, start, end } in records.iter().rev() {
        if before[*start..*end] == after[*start..*end] {
            whole_behind = true;
            continue;
        }
        let mark = *start..*start + MARK_BYTES;
        hit.all.insert(*id);
        if whole_behind || before[mark.clone()] == after[mark] {
            hit.seen.insert(*id);
        }
    }
}

/// Where to hit: in most cases where records are.
fn place(rng: &Rng, records: &[Placed], bytes: usize) -> (usize, usize) {
    let start = match rng.pick(records) {
        Some(record) if rng.chance(MILLION * 4 / 5) => {
            rng.between(record.start as u64, record.end as u64 - 1)
        }
        _ => rng.between(segment::DATA_START, bytes as u64 - 1),
    };
    let most = if rng.flip() { 8 } else { HIT_BYTES_MAX };
    let end = (start + rng.between(1, most)).min(bytes as u64);
    (start as usize, end as usize)
}

fn records(bytes: &[u8]) -> Vec<Placed> {
    let mut records = Vec::new();
    let Header::Valid { number: sequence, salt, .. } = segment::parse_header(bytes) else {
        return records;
    };
    scan::scan(bytes, sequence, salt, |item| {
        if let scan::Item::Record(start, total) = item {
            let end = start + total;
            if let Ok(stored) = record::parse(&bytes[start..end]) {
                records.push(Placed { id: stored.id, start, end });
            }
        }
    });
    records
}

fn judge(stage: &Stage, hit: &Hit, found: &ReadBack, told: usize) -> Result<(), String> {
    let model = stage.model.borrow();
    let mut lost = BTreeMap::new();
    for (id, known) in &model.messages {
        match found.get(id).map(Vec::as_slice) {
            None if known.must_be_found() && !hit.all.contains(id) => {
                return Err(format!("message {id} was not hit, and is lost"));
            }
            None if known.must_be_found() && hit.seen.contains(id) => {
                lost.insert(*id, known.at);
            }
            None => {}
            Some([(_, _, read)]) => {
                let stored = read.as_ref().map_err(|why| format!("message {id}: {why}"))?;
                // Of one whose newest record was hit an older one may come back.
                let versions =
                    if hit.all.contains(id) { &known.versions } else { known.possible() };
                if !versions.iter().any(|version| known.is_same(stored, version)) {
                    return Err(format!("message {id} came back with other bytes"));
                }
            }
            Some(places) => return Err(format!("message {id} was found {} times", places.len())),
        }
    }
    if told == 0 && !lost.is_empty() {
        return Err(format!("nothing was said of the loss of {lost:?}"));
    }
    stage.world.note(format!("{} hit, {} lost, {told} damages told", hit.all.len(), lost.len()));
    Ok(())
}

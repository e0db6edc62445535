//! Segments: no damage hides a whole record, none is made up, each damage is told where it stands.

use super::record::{encode, made};
use ringmta_io::Block;
use ringmta_spool::limits::SEQUENCE_MAX;
use ringmta_spool::log::header::Header;
use ringmta_spool::log::record::{parse, probe, seal, Found};
use ringmta_spool::log::segment::parse_header;
use ringmta_spool::start::replay::{encode_header, FileId};
use ringmta_spool::start::scan::{scan, Item};

const BLOCK: usize = 4096;
const SEQUENCE: u32 = 9;
const SALT: u32 = 0x5a17_0001;
const STALE: (u32, u32) = (4, 0x5a17_0002);

/// The first byte chooses: bytes as they are, or a segment made of them.
pub fn check(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 2 {
        0 => raw(rest),
        _ => built(rest),
    }
}

fn items(bytes: &[u8], sequence: u32, salt: u32) -> Vec<Item> {
    let mut items = Vec::new();
    scan(bytes, sequence, salt, |item| items.push(item));
    items
}

/// Any bytes: in order, inside, without overlap; what is called whole is whole.
fn raw(bytes: &[u8]) {
    if let Header::Valid { number, .. } = parse_header(bytes) {
        assert!(number <= SEQUENCE_MAX);
    }
    for (sequence, salt) in [(SEQUENCE, SALT), (0, 0)] {
        let mut end = BLOCK;
        let mut last_damage = None;
        for item in items(bytes, sequence, salt) {
            match item {
                Item::Record(at, total) => {
                    assert!(at >= end && at % 8 == 0 && at + total <= bytes.len());
                    assert_eq!(probe(&bytes[at..], sequence, salt), Found::Record(total));
                    end = at + total;
                }
                Item::Damage(at) => {
                    assert!(at >= end && at < bytes.len());
                    assert!(last_damage.is_none_or(|last| last < at), "told twice: {at}");
                    last_damage = Some(at);
                }
            }
        }
    }
}

struct Put {
    at: usize,
    total: usize,
    damaged: bool,
}

/// A damaged record in front of a whole one is always told; behind the last it may be taken for what an earlier use left
/// behind, unless a bit is all that changed.
fn every_damage_is_told(puts: &[Put], hits: &[usize], found: &[Item]) {
    let last = puts.iter().rposition(|put| !put.damaged);
    for (index, (put, hit)) in puts.iter().zip(hits).enumerate().filter(|(_, (put, _))| put.damaged)
    {
        let before_whole = last.is_some_and(|last| index < last);
        // Behind another damaged one its place may be unknown; then it is part of that one's damage.
        let behind_damage = index > 0 && puts[index - 1].damaged;
        if hit % 4 < 2 && !behind_damage {
            assert!(found.contains(&Item::Damage(put.at)) || before_whole, "not told: {}", put.at);
        }
        // Nothing but zeros at the end of a batch is what its padding looks like.
        let like_padding = hit % 4 == 3 && put.total < BLOCK;
        if before_whole && !like_padding {
            let told = found.iter().any(|item| matches!(item, Item::Damage(at) if *at <= put.at));
            assert!(told, "not told: {}", put.at);
        }
    }
}

/// Batches of records, over what an earlier use left behind, some of them damaged.
fn built(mut rest: &[u8]) {
    let mut block = Block::in_memory(BLOCK);
    block.extend(&encode_header(FileId { number: SEQUENCE, salt: SALT }, 1));
    block.pad_to(BLOCK);
    let mut puts: Vec<Put> = Vec::new();
    let mut hits = Vec::new();
    while let [kind, size, hit, more @ ..] = rest {
        rest = more;
        block.pad_to(if kind % 4 == 0 { BLOCK } else { 8 });
        let len = usize::from(*size) * 37;
        let body: Vec<u8> =
            rest.iter().copied().cycle().take(if rest.is_empty() { 0 } else { len }).collect();
        let mut record = made(*kind, usize::from(*kind % 3), &body);
        seal(&mut record, SEQUENCE, SALT);
        let at = block.len();
        block.extend(&record);
        puts.push(Put { at, total: record.len(), damaged: hit % 3 == 1 });
        hits.push(usize::from(*hit));
        if puts.len() == 24 {
            break;
        }
    }
    block.pad_to(BLOCK);
    // What an earlier use left behind.
    let mut stale = made(1, 1, b"left behind");
    seal(&mut stale, STALE.0, STALE.1);
    block.extend(&stale);
    block.pad_to(BLOCK);
    let mut bytes = block.tail_mut(0).to_vec();
    for (put, hit) in puts.iter().zip(&hits).filter(|(put, _)| put.damaged) {
        match hit % 4 {
            // A flipped bit, a lost header, lost blocks.
            0 | 1 => bytes[put.at + (hit * 2_654_435_761) % put.total] ^= 1 << (hit % 8),
            2 => bytes[put.at..put.at + 64].fill(0xee),
            _ => bytes[put.at..put.at + put.total].fill(0),
        }
    }
    let found = items(&bytes, SEQUENCE, SALT);
    let whole: Vec<_> =
        puts.iter().filter(|put| !put.damaged).map(|put| (put.at, put.total)).collect();
    let records: Vec<_> = found
        .iter()
        .filter_map(|item| match item {
            Item::Record(at, total) => Some((*at, *total)),
            Item::Damage(_) => None,
        })
        .collect();
    assert_eq!(records, whole);
    for item in &found {
        let Item::Damage(at) = item else { continue };
        // At the damaged record, or at the padding in front of it.
        let fits = puts.iter().any(|put| put.damaged && *at <= put.at && put.at - at < BLOCK);
        assert!(fits, "damage told at {at}, where nothing was damaged");
    }
    every_damage_is_told(&puts, &hits, &found);
    for (at, total) in whole {
        let stored = parse(&bytes[at..at + total]).expect("a whole record");
        assert_eq!(encode(&stored.as_new(), SEQUENCE, SALT), &bytes[at..at + total]);
    }
    raw(&bytes);
}

//! The journal: what is whole is read, what is damaged is told, where it stands, and costs nothing
//! but itself.

use ringmta_io::Block;
use ringmta_spool::limits::SEQUENCE_MAX;
use ringmta_spool::log::header::Header;
use ringmta_spool::log::reclaim::AttemptState;
use ringmta_spool::start::replay::{
    claim, encode_header, parse_header, put_frame, Entries, FileId, Replay,
};

const BLOCK: usize = 4096;
const FILE: FileId = FileId { number: 3, salt: 0x0bad_cafe };
const STALE: FileId = FileId { number: 1, salt: 0x1bad_cafe };
const PARTITION: u64 = 0xfeed_f00d_1234_5678;

/// The bytes of a journal file with these frames.
pub fn file(id: FileId, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut block = Block::in_memory(BLOCK);
    block.extend(&encode_header(id, PARTITION));
    block.pad_to(BLOCK);
    for entries in frames {
        put_frame(&mut block, entries, id);
    }
    block.pad_to(BLOCK);
    block.tail_mut(0).to_vec()
}

/// The first byte chooses: bytes as they are, or frames made of them.
pub fn check(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 3 {
        0 => raw(rest),
        1 => one_frame(rest),
        _ => made(rest),
    }
}

/// Any bytes: every offset told is inside, and no damage is told twice.
fn raw(bytes: &[u8]) {
    for id in [FILE, STALE] {
        let mut told = Vec::new();
        Replay::default().read(bytes, id, |at| told.push(at));
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
        assert!(told.iter().all(|at| *at < bytes.len() && at % BLOCK == 0), "{told:?}");
    }
    if let Header::Valid { number, .. } = parse_header(bytes) {
        assert!(number <= SEQUENCE_MAX);
    }
    if let Some(id) = claim(bytes) {
        let mut replay = Replay::default();
        replay.read(bytes, id, |_| {});
        assert!(replay.frames > 0, "a claim without a frame");
    }
}

/// Any entries under a good checksum.
fn one_frame(entries: &[u8]) {
    let bytes = file(FILE, &[entries.to_vec()]);
    let mut replay = Replay::default();
    let mut told = Vec::new();
    replay.read(&bytes, FILE, |at| told.push(at));
    assert_eq!(replay.frames, 1);
    assert!(told.is_empty() || told == [BLOCK], "{told:?}");
    assert!(replay.last_sequence <= SEQUENCE_MAX);
    for (segment, offset) in replay.attempts.keys() {
        assert!(!replay.is_done(*segment, *offset), "an attempt of what is done");
    }
    raw(&bytes);
}

/// Frames of entries that make sense, some of them then damaged: the others must all be read.
fn made(mut rest: &[u8]) {
    let mut frames = Vec::new();
    let mut facts: Vec<Vec<(u32, u32)>> = Vec::new();
    let mut hits = Vec::new();
    while let [count, hit, more @ ..] = rest {
        rest = more;
        let mut entries = Entries::default();
        let mut done = Vec::new();
        for n in 0..u32::from(*count) * 8 {
            let (segment, offset) = (frames.len() as u32 + 1, n * 8);
            entries.done(segment, offset);
            let state = AttemptState { attempts: n as u16, due_millis: u64::from(n) };
            entries.attempt(segment, offset + 4, state);
            done.push((segment, offset));
        }
        if entries.bytes.is_empty() {
            entries.done(0, 0);
        }
        frames.push(entries.bytes);
        facts.push(done);
        hits.push(*hit);
        if frames.len() == 8 {
            break;
        }
    }
    if frames.is_empty() {
        return;
    }
    let mut bytes = file(FILE, &frames);
    bytes.extend_from_slice(&file(STALE, &frames)[BLOCK..]);
    let mut at = BLOCK;
    let mut expected = Vec::new();
    for (entries, hit) in frames.iter().zip(&hits) {
        // One flipped bit in the frame: with an even number none.
        if hit % 2 == 1 {
            let place = at + (usize::from(*hit) * 131) % (20 + entries.len());
            bytes[place] ^= 1 << (hit % 8);
            expected.push(at);
        }
        at += (20 + entries.len()).div_ceil(BLOCK) * BLOCK;
    }
    let mut replay = Replay::default();
    let mut told = Vec::new();
    replay.read(&bytes, FILE, |at| told.push(at));
    assert_eq!(told, expected);
    for (done, hit) in facts.iter().zip(&hits).filter(|(_, hit)| **hit % 2 == 0) {
        for (segment, offset) in done {
            assert!(replay.is_done(*segment, *offset), "lost in an undamaged frame, hit {hit}");
        }
    }
    assert_eq!(replay.frames, hits.iter().filter(|hit| **hit % 2 == 0).count());
}

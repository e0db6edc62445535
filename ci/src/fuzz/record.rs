//! Records: what is read stays inside its bytes, and says the same when it is written again.

use ringmta_io::Block;
use ringmta_policy::{EnvelopeAddress, MessageId, Meta};
use ringmta_spool::log::record::{append, parse, probe, seal, Found, NewRecord, StoredRecord};

const SEQUENCE: u32 = 7;
const SALT: u32 = 0x5eed_5a17;

/// The bytes of one sealed record.
pub fn encode(record: &NewRecord<'_>, sequence: u32, salt: u32) -> Vec<u8> {
    let mut block = Block::in_memory(0);
    let (start, total) = append(&mut block, record);
    assert_eq!((start, total as usize), (0, block.len()));
    seal(block.tail_mut(0), sequence, salt);
    block.tail_mut(0).to_vec()
}

/// A record with the body `body` and a few recipients.
pub fn made(number: u8, recipients: usize, body: &[u8]) -> Vec<u8> {
    let address = |text: &str| EnvelopeAddress::parse(text).unwrap();
    let recipients: Vec<_> = (0..recipients).map(|n| address(&format!("u{n}@dst.test"))).collect();
    let mut meta = Meta::default();
    meta.insert("tenant".into(), format!("t{number}").into());
    let sender =
        if number.is_multiple_of(5) { EnvelopeAddress::null() } else { address("a@src.test") };
    let id = MessageId([number; 16]);
    let created_nanos = u64::from(number) * 1_000_000_007;
    let new = NewRecord {
        id,
        created_nanos,
        generation: 0,
        sender: &sender,
        recipients: &recipients,
        meta: &meta,
        body,
    };
    encode(&new, SEQUENCE, SALT)
}

fn same(a: &StoredRecord<'_>, b: &StoredRecord<'_>) {
    assert_eq!((a.id, a.created_nanos, a.body), (b.id, b.created_nanos, b.body));
    assert_eq!((&a.sender, &a.recipients, &a.meta), (&b.sender, &b.recipients, &b.meta));
}

/// The first byte says whether the rest is given a length and a checksum that fit.
pub fn check(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 1 && bytes.len() >= 64 {
        bytes[..4].copy_from_slice(&0x3152_4d52u32.to_le_bytes());
        let total = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&total.to_le_bytes());
        bytes[12] = 1;
        seal(&mut bytes, SEQUENCE, SALT);
        assert_eq!(probe(&bytes, SEQUENCE, SALT), Found::Record(bytes.len()));
        assert_eq!(probe(&bytes, SEQUENCE + 1, SALT + 1), Found::Nothing);
        assert_eq!(probe(&bytes, SEQUENCE, SALT + 1), Found::Damaged);
        if bytes.len() > 64 {
            assert_eq!(probe(&bytes[..bytes.len() - 1], SEQUENCE, SALT), Found::Damaged);
        }
    }
    if let Found::Record(total) = probe(&bytes, SEQUENCE, SALT) {
        assert!((64..=bytes.len()).contains(&total));
    }
    let Ok(stored) = parse(&bytes) else { return };
    let inside = bytes.as_ptr_range();
    let body = stored.body.as_ptr_range();
    assert!(inside.start <= body.start && body.end <= inside.end);
    let written = encode(&stored.as_new(), SEQUENCE, SALT);
    assert_eq!(probe(&written, SEQUENCE, SALT), Found::Record(written.len()));
    let read = parse(&written).expect("what was just written");
    same(&stored, &read);
    assert_eq!(encode(&read.as_new(), SEQUENCE, SALT), written);
}

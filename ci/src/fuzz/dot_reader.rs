//! The end of data: the same however the bytes are cut, and the same as a slow, plain reading.

use ringmta_smtp::server::dot_reader::{BareEndings, DotReader};

/// What a reading came to: body (of which nothing is used when there is a fault), fault, bytes taken
/// when the end was found.
type Reading = (Vec<u8>, String, Option<usize>);

fn read(wire: &[u8], cut: usize, bare: BareEndings) -> Reading {
    let mut reader = DotReader::new(bare, 4096, 200);
    let mut body = Vec::new();
    let mut taken = 0;
    for chunk in wire.chunks(cut.max(1)) {
        let (used, done) = reader.read(chunk, &mut body);
        taken += used;
        assert!(body.len() <= 4096);
        if done {
            return reading(&reader, body, Some(taken));
        }
        assert_eq!(used, chunk.len());
    }
    reading(&reader, body, None)
}

fn reading(reader: &DotReader, body: Vec<u8>, taken: Option<usize>) -> Reading {
    let fault = reader.fault();
    (if fault.is_none() { body } else { Vec::new() }, format!("{fault:?}"), taken)
}

/// The end of data found without any state: the first CRLF dot CRLF, or dot CRLF at the start.
fn end(wire: &[u8]) -> Option<usize> {
    if wire.starts_with(b".\r\n") {
        return Some(3);
    }
    wire.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5)
}

/// The first byte says how the rest is cut.
pub fn check(data: &[u8]) {
    let Some((cut, wire)) = data.split_first() else { return };
    for bare in [BareEndings::Deny, BareEndings::Allow, BareEndings::Fix] {
        let whole = read(wire, wire.len(), bare);
        assert_eq!(whole, read(wire, usize::from(*cut), bare));
        assert_eq!(whole.2, if bare == BareEndings::Fix { whole.2 } else { end(wire) });
    }
}

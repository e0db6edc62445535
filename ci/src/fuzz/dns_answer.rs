//! Answers of name servers: what is no answer to the question is refused, and of what is one, only records of the kind
//! that was asked for are taken.

use hickory_proto::rr::RecordType;
use ringmta_egress::resolve::{Answer, Question, Settings};

const KINDS: [RecordType; 5] =
    [RecordType::MX, RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::PTR];

/// The answer in it, if it is one, with its bytes and its kind. The first byte chooses the kind, and whether the rest comes
/// behind the head of an answer or is one.
fn read(data: &[u8]) -> Option<(RecordType, Vec<u8>, Option<Answer>)> {
    let (mode, rest) = data.split_first()?;
    let kind = KINDS[usize::from(mode & 7) % 5];
    let asked = Question::new("dst.test", kind, &Settings::default()).expect("a name");
    let mut wire = rest.to_vec();
    if mode & 0x80 != 0 {
        wire = asked.wire.clone();
        wire[2] |= 0x80;
        // Number of answers; they follow the question.
        wire[7] = mode >> 5 & 3;
        wire.extend_from_slice(rest);
    } else if let Some(id) = wire.get_mut(..2) {
        id.copy_from_slice(&asked.wire[..2]);
    }
    let answer = asked.read(&wire).ok().flatten().and_then(Result::ok);
    Some((kind, wire, answer))
}

/// See [`read`] for what the bytes are.
pub fn check(data: &[u8]) {
    let Some((kind, wire, Some(answer))) = read(data) else { return };
    let [mx, addresses, txt] = [answer.mx.len(), answer.addresses.len(), answer.txt.len()];
    assert!(mx + addresses + txt <= wire.len());
    assert!(mx == 0 || kind == RecordType::MX);
    assert!(addresses == 0 || matches!(kind, RecordType::A | RecordType::AAAA));
    assert!(txt == 0 || matches!(kind, RecordType::TXT | RecordType::PTR));
    assert!(answer.addresses.iter().all(|ip| ip.is_ipv4() == (kind == RecordType::A)));
    // A name escaped is at most four times as long.
    assert!(answer.mx.iter().all(|(_, host)| host.len() <= 4 * 255 && host.is_ascii()));
    assert!(answer.mx.iter().all(|(_, host)| !host.bytes().any(|b| b <= b' ' || b == 0x7f)));
    // Names are compressed in the message; a text is at most replaced byte by byte.
    assert!(answer.txt.iter().all(|text| text.len() <= 3 * wire.len() + 4 * 255));
    // The same bytes are no answer to another question.
    let other = Question::new("other.test", kind, &Settings::default()).expect("a name");
    assert!(other.read(&wire).is_err(), "an answer to every question");
}

/// Records of each kind, behind a question.
pub fn seeds() -> Vec<Vec<u8>> {
    // Name (the question's), kind, class, TTL, length.
    let record = |kind: u8, data: &[u8]| {
        let head = [0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 44, 0, data.len() as u8];
        [&head[..], data].concat()
    };
    let mx = record(15, b"\0\x0a\x02mx\xc0\x0c");
    let alias = record(5, b"\x05other\xc0\x0c");
    let behind = |mode: u8, rest: &[u8]| [&[mode][..], rest].concat();
    let one = 0x80 | 1 << 5;
    let mut all = vec![
        behind(one, &mx),
        behind(one | 1, &record(1, &[192, 0, 2, 1])),
        behind(one | 2, &record(28, &[1; 16])),
        behind(one | 3, &record(16, b"\x06v=spf1\x05 -all")),
        behind(one | 4, &record(12, b"\x02mx\xc0\x0c")),
        behind(one, &record(15, b"\0\0\0")),
        behind(one, b"\xc0\x20"),
    ];
    let question = Question::new("dst.test", RecordType::MX, &Settings::default());
    let mut wire = question.expect("a name").wire;
    wire[2] |= 0x80;
    wire[7] = 2;
    // The alias's own name stands in its record, behind the question and twelve bytes.
    let mut of_alias = mx;
    of_alias[1] = wire.len() as u8 + 12;
    all.push(behind(0, &[wire, alias, of_alias].concat()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_answers() {
        let found = |seed: &Vec<u8>| read(seed).is_some_and(|(_, _, answer)| answer.is_some());
        let answers: Vec<bool> = seeds().iter().map(found).collect();
        assert_eq!(answers, [true, true, true, true, true, true, false, true]);
    }
}

//! What tells an event from all others: the same each time it is told, over restarts and replays, so that a receiver can
//! leave out what it has heard.

use memchr::memmem::Finder;
use ringmta_mail::MessageId;
use std::sync::LazyLock;
use xxhash_rust::xxh3::{xxh3_128, Xxh3};

/// What finds a field in a line: to make it takes about as long as to find one.
pub type Field = LazyLock<Finder<'static>>;

/// The [`Field`] of this text.
macro_rules! field {
    ($text:literal) => {
        std::sync::LazyLock::new(|| memchr::memmem::Finder::new($text))
    };
}
pub(crate) use field;

/// The id of an event, given as its JSON: its time, and what a digest of it makes of the rest of a version 1 UUID.
///
/// XXH3 withstands nobody who looks for two texts of one digest, and need not: to have a receiver leave out somebody else's
/// event, one of the same 100 ns would have to meet the digest of a line whose message id and time only the engine knows.
/// SHA-256 cost a message with a hook as much as writing its events down.
pub fn id(line: &str) -> MessageId {
    let [.., a, b, c, d, e, f, g, h] = xxh3_128(line.as_bytes()).to_be_bytes();
    MessageId::new_v1(nanos(line), u16::from_be_bytes([g, h]), [a | 1, b, c, d, e, f])
}

/// The key of several events that are told together.
pub fn of_batch<'l>(mut lines: impl Iterator<Item = &'l str>) -> String {
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let Some(second) = second else { return id(first).to_string() };
    let mut all = Xxh3::new();
    [first, second].into_iter().chain(lines).for_each(|line| all.update(line.as_bytes()));
    format!("{:032x}", all.digest128())
}

/// When an event was recorded, nanoseconds since 1970; 0 when it does not say. What others have dated (`event_time` of an
/// `OOB` record) lives from when it was heard: its message in a queue would else be too old before it is told.
fn nanos(line: &str) -> u64 {
    static FIELD: Field = field!("\"event_time\":\"");
    let text = after(line, &FIELD).and_then(|rest| rest.split('"').next());
    let exact = text.and_then(ringmta_mail::time::parse_rfc3339);
    let recorded = timestamp(line);
    let exact = exact.filter(|nanos| nanos / 1_000_000_000 == recorded);
    exact.unwrap_or_else(|| recorded.saturating_mul(1_000_000_000))
}

/// When an event happened, seconds since 1970; 0 when it does not say.
pub fn timestamp(line: &str) -> u64 {
    static FIELD: Field = field!("\"timestamp\":");
    let Some(rest) = after(line, &FIELD) else { return 0 };
    let digits = rest.bytes().take_while(u8::is_ascii_digit);
    digits.fold(0, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// What follows `field` in a line.
pub fn after<'l>(line: &'l str, field: &Field) -> Option<&'l str> {
    let at = field.find(line.as_bytes())?;
    line.get(at + field.needle().len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_each_time_and_another_for_each_event() {
        let line = |number: u32| {
            format!("{{\"type\":\"Delivery\",\"timestamp\":1700000000,\"n\":{number}}}")
        };
        assert_eq!(id(&line(1)), id(&line(1)));
        let ids: std::collections::BTreeSet<_> =
            (0..1000).map(|n| id(&line(n)).to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(id(&line(1)).created_unix_nanos(), 1_700_000_000_000_000_000);
        let exact = "{\"timestamp\":1700000000,\"event_time\":\"2023-11-14T22:13:20.000012300Z\"}";
        assert_eq!(id(exact).created_unix_nanos(), 1_700_000_000_000_012_300);
        let of = |numbers: &[u32]| {
            let lines: Vec<String> = numbers.iter().map(|n| line(*n)).collect();
            of_batch(lines.iter().map(|line| &**line))
        };
        assert_eq!(of(&[1]), id(&line(1)).to_string());
        assert_eq!(of(&[1, 2]).len(), 32);
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 3]));
    }

    #[test]
    fn what_others_have_dated_lives_from_when_it_was_recorded() {
        let report = "{\"timestamp\":1700000000,\"event_time\":\"2001-02-03T04:05:06.000000000Z\"}";
        assert_eq!(id(report).created_unix_nanos(), 1_700_000_000_000_000_000);
    }

    #[test]
    fn what_says_no_time_has_a_key_too() {
        assert_eq!(timestamp("{}"), 0);
        assert_ne!(id("{}"), id("{ }"));
    }
}

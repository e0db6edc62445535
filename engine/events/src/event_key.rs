//! What tells an event from all others: the same each time it is told, over restarts and replays, so that a receiver can
//! leave out what it has heard.

use aws_lc_rs::digest::{digest, SHA256};
use memchr::memmem::Finder;
use ringmta_mail::MessageId;
use std::sync::LazyLock;

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
pub fn id(line: &str) -> MessageId {
    let digest = digest(&SHA256, line.as_bytes());
    let bytes = digest.as_ref();
    let node = [bytes[0] | 1, bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]];
    let clock_sequence = u16::from_be_bytes([bytes[6], bytes[7]]);
    MessageId::new_v1(nanos(line), clock_sequence, node)
}

/// The key of several events that are told together.
pub fn of_batch<'l>(mut lines: impl Iterator<Item = &'l str>) -> String {
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let Some(second) = second else { return id(first).to_string() };
    let mut context = aws_lc_rs::digest::Context::new(&SHA256);
    [first, second].into_iter().chain(lines).for_each(|line| context.update(line.as_bytes()));
    hex(&context.finish().as_ref()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

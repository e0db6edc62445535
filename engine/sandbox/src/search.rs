//! The search grammar: terms joined by AND, `-` or `!` negates, double quotes group.

use crate::captured::Stored;
use crate::limits::SANDBOX_SEARCH_TERMS;
use crate::message::Address;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::Timestamp;

/// A parsed search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    pub(crate) terms: Vec<Term>,
}

/// One term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// It must not hold.
    pub negated: bool,
    /// What is looked at.
    pub test: Test,
}

/// What one term looks at; texts are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    To(String),
    From(String),
    Cc(String),
    Bcc(String),
    ReplyTo(String),
    Addressed(String),
    Subject(String),
    MessageId(String),
    Tag(String),
    Read,
    Tagged,
    Attachment,
    Inline,
    AfterMs(u64),
    BeforeMs(u64),
    Larger(usize),
    Smaller(usize),
    Text(String),
}

impl Search {
    /// Parses a query whose dates are UTC.
    ///
    /// # Errors
    /// A text that names the term that cannot be understood.
    pub fn parse(query: &str) -> Result<Search, String> {
        Search::parse_in(query, &TimeZone::UTC)
    }

    /// Parses a query whose dates are of this time zone.
    ///
    /// # Errors
    /// A text that names the term that cannot be understood.
    pub fn parse_in(query: &str, zone: &TimeZone) -> Result<Search, String> {
        let mut terms = Vec::new();
        for word in words(query) {
            if terms.len() >= SANDBOX_SEARCH_TERMS {
                return Err(format!("more than {SANDBOX_SEARCH_TERMS} search terms"));
            }
            terms.extend(term(word, zone)?);
        }
        Ok(Search { terms })
    }

    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Only what came before this moment.
    pub fn and_before(&mut self, before_ms: u64) {
        self.terms.push(Term { negated: false, test: Test::BeforeMs(before_ms) });
    }

    /// Does every term hold for this message?
    pub fn matches(&self, message: &Stored) -> bool {
        self.terms.iter().all(|term| term.test.holds(message) != term.negated)
    }
}

/// One word of a query: its characters, and whether it began with a quote.
#[derive(Default)]
struct Word {
    text: String,
    quoted: bool,
    negated: bool,
}

/// Splits at spaces outside of double quotes; the quotes themselves are dropped.
fn words(query: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut inside = false;
    for c in query.chars() {
        match c {
            '"' => {
                let current = word.get_or_insert_with(Word::default);
                if current.text.is_empty() {
                    current.quoted = true;
                }
                inside = !inside;
            }
            c if c.is_whitespace() && !inside => words.extend(word.take()),
            '-' | '!' if word.is_none() => {
                word = Some(Word { negated: true, ..Word::default() });
            }
            c => word.get_or_insert_with(Word::default).text.push(c),
        }
    }
    words.extend(word);
    words.retain(|word| !word.text.trim().is_empty());
    words
}

fn term(word: Word, zone: &TimeZone) -> Result<Option<Term>, String> {
    let Word { text, quoted, negated } = word;
    let some = |test| Ok(Some(Term { negated, test }));
    let free = Test::Text(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    let Some((key, value)) = text.split_once(':').filter(|_| !quoted) else { return some(free) };
    let value = value.trim();
    let lower = value.to_lowercase();
    let key = key.to_lowercase();
    let known = matches!(
        key.as_str(),
        "to" | "from"
            | "cc"
            | "bcc"
            | "reply-to"
            | "addressed"
            | "subject"
            | "message-id"
            | "tag"
            | "is"
            | "has"
            | "after"
            | "before"
            | "larger"
            | "smaller"
    );
    if !known {
        return some(free);
    }
    if value.is_empty() {
        // `to:` while the rest is still being typed asks for nothing.
        return Ok(None);
    }
    some(match (key.as_str(), lower.as_str()) {
        ("to", _) => Test::To(lower),
        ("from", _) => Test::From(lower),
        ("cc", _) => Test::Cc(lower),
        ("bcc", _) => Test::Bcc(lower),
        ("reply-to", _) => Test::ReplyTo(lower),
        ("addressed", _) => Test::Addressed(lower),
        ("subject", _) => Test::Subject(lower),
        ("message-id", _) => Test::MessageId(lower.trim_matches(['<', '>']).to_string()),
        ("tag", _) => Test::Tag(lower),
        ("is", "read") => Test::Read,
        ("is", "unread") => return Ok(Some(Term { negated: !negated, test: Test::Read })),
        ("is", "tagged") => Test::Tagged,
        ("has", "attachment" | "attachments") => Test::Attachment,
        ("has", "inline" | "inlines") => Test::Inline,
        ("after", _) => Test::AfterMs(date_ms(value, zone)?),
        ("before", _) => Test::BeforeMs(date_ms(value, zone)?),
        ("larger", _) => Test::Larger(size(value)?),
        ("smaller", _) => Test::Smaller(size(value)?),
        _ => return Err(format!("`{key}:{value}` is not a known search term")),
    })
}

impl Test {
    fn holds(&self, message: &Stored) -> bool {
        let mail = &message.parsed;
        match self {
            Test::To(part) => any(&mail.to, part),
            Test::From(part) => has(&mail.from, part),
            Test::Cc(part) => any(&mail.cc, part),
            Test::Bcc(part) => any(&mail.bcc, part),
            Test::ReplyTo(part) => any(&mail.reply_to, part),
            Test::Addressed(part) => {
                has(&mail.from, part)
                    || [&mail.to, &mail.cc, &mail.bcc, &mail.reply_to]
                        .into_iter()
                        .any(|list| any(list, part))
            }
            Test::Subject(part) => mail.subject.to_lowercase().contains(part),
            Test::MessageId(part) => mail.message_id.to_lowercase().contains(part),
            Test::Tag(tag) => message.tags.borrow().iter().any(|t| t.to_lowercase() == *tag),
            Test::Read => message.read.get(),
            Test::Tagged => !message.tags.borrow().is_empty(),
            Test::Attachment => !mail.attachments.is_empty(),
            Test::Inline => !mail.inline.is_empty(),
            Test::AfterMs(moment) => message.created_ms >= *moment,
            Test::BeforeMs(moment) => message.created_ms < *moment,
            Test::Larger(bytes) => message.source.len() > *bytes,
            Test::Smaller(bytes) => message.source.len() < *bytes,
            Test::Text(part) => mail.search_text.contains(part),
        }
    }
}

fn any(list: &[Address], part: &str) -> bool {
    list.iter().any(|one| has(one, part))
}

fn has(one: &Address, part: &str) -> bool {
    one.address.to_lowercase().contains(part) || one.name.to_lowercase().contains(part)
}

/// A time zone by its name in the IANA database; UTC where none is given.
///
/// # Errors
/// A text that shows what was not understood.
pub fn time_zone(name: Option<&str>) -> Result<TimeZone, String> {
    match name.map(str::trim) {
        None | Some("") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name)
            .map_err(|_| format!("`{name}` is not a time zone; write it as Europe/Berlin")),
    }
}

/// A date (`2026-01-31`, `2026/01/31`), a moment (`2026-01-31 15:04:05`, RFC 3339) or milliseconds
/// since 1970, as milliseconds since 1970. Without an offset it is of `zone`.
///
/// # Errors
/// A text that shows what was not understood.
pub fn date_ms(text: &str, zone: &TimeZone) -> Result<u64, String> {
    let text = text.trim();
    if text.len() > 10 {
        if let Ok(ms) = text.parse() {
            return Ok(ms);
        }
    }
    let plain = text.replace('/', "-").replacen(' ', "T", 1);
    let full = if plain.len() == 16 { format!("{plain}:00") } else { plain };
    let exact = full.parse::<Timestamp>().ok();
    let local =
        || full.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    exact
        .or_else(local)
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .ok_or_else(|| format!("`{text}` is not a date; write 2026-01-31 or RFC 3339"))
}

/// Bytes, or `500K`, `1.5M`.
fn size(text: &str) -> Result<usize, String> {
    let lower = text.to_lowercase();
    let number = lower.trim_end_matches('b');
    let (number, unit) = match number.char_indices().last() {
        Some((at, 'k')) => (&number[..at], 1024.0),
        Some((at, 'm')) => (&number[..at], 1024.0 * 1024.0),
        _ => (number, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok((value * unit) as usize),
        _ => Err(format!("`{text}` is not a size; write 500, 20K or 1M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, SessionInfo};
    use crate::settings::Keeping;
    use crate::store::Store;
    use futures::executor::block_on;

    const MAIL: &str = "From: Ann Larsen <ann@example.com>\r\nTo: bob+t1@example.org\r\n\
        Cc: carl@example.org\r\nReply-To: help@example.com\r\nSubject: Order No. 5 is on its way\r\n\
        Message-ID: <id-5@example.com>\r\n\r\nThe quick   brown\r\nfox. GR\u{dc}SSE a-b c:d\r\n";

    fn holds(query: &str) -> bool {
        let store = Store::in_memory(Keeping::default());
        let source = MAIL.as_bytes().to_vec();
        let id = block_on(store.add(Envelope::default(), SessionInfo::default(), source)).unwrap();
        let message = block_on(store.get(&id)).unwrap().unwrap();
        Search::parse(query).unwrap_or_else(|error| panic!("{query}: {error}")).matches(&message)
    }

    #[test]
    fn terms_that_hold() {
        for query in [
            "",
            "fox quick",
            "QUICK",
            "gr\u{fc}sse",
            "\"quick brown fox\"",
            "from:ann",
            "from:LARSEN",
            "from:\"ann larsen\"",
            "to:bob",
            "cc:carl@",
            "reply-to:help",
            "addressed:carl",
            "subject:\"no. 5\"",
            "message-id:<id-5@example.com>",
            "tag:T1",
            "is:unread is:tagged",
            "-is:read",
            "!has:attachment -has:inlines",
            "after:2020-01-01 before:2999-12-31",
            "after:\"2020-01-01 10:30\"",
            "after:2020-01-01T00:00:00+02:00",
            "larger:10 smaller:1M smaller:1.5kb",
            "a-b c:d",
            "-dog",
            "to:",
            "\"quick brown",
        ] {
            assert!(holds(query), "{query}");
        }
    }

    #[test]
    fn terms_that_do_not_hold() {
        for query in [
            "dog",
            "fox dog",
            "-fox",
            "!\"quick brown\"",
            "from:bob",
            "to:ann",
            "bcc:bob",
            "subject:fox",
            "tag:t",
            "is:read",
            "-is:tagged",
            "has:attachments",
            "before:2020/01/01",
            "larger:1M",
            "smaller:10b",
            "-from:ann fox",
            "\"from:ann\"",
        ] {
            assert!(!holds(query), "{query}");
        }
    }

    #[test]
    fn dates_are_of_the_zone_that_was_given() {
        let zone = time_zone(Some("Pacific/Auckland")).unwrap();
        let (there, here) = (date_ms("2026-01-31", &zone), date_ms("2026-01-31", &TimeZone::UTC));
        assert_eq!(here.unwrap() - there.unwrap(), 13 * 3_600_000);
        let exact = "2026-01-31T00:00:00+02:00";
        assert_eq!(date_ms(exact, &zone), date_ms(exact, &TimeZone::UTC));
        assert!(time_zone(Some("Mars/Base")).unwrap_err().contains("Mars/Base"));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for query in
            ["is:new", "has:wings", "after:soon", "before:2026-99-99", "larger:big", "smaller:-1"]
        {
            let error = Search::parse(query).unwrap_err();
            let value = query.split_once(':').unwrap().1;
            assert!(error.contains(value), "{query}: {error}");
        }
        assert!(Search::parse(&"x ".repeat(1000)).is_err());
    }
}

//! How long a receiver asks to be left alone.

use ringmta_io as io;
use std::time::Duration;

/// The pause that the text of a rejection names: policies pass on what their receiver has said.
pub fn named_in(text: &str) -> Option<Duration> {
    const FIELD: &str = "retry-after:";
    let at = text.to_ascii_lowercase().find(FIELD)? + FIELD.len();
    of_header(text.get(at..)?.split(['\r', '\n']).next()?)
}

/// The value of a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date.
pub fn of_header(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return value[..digits].parse().ok().map(Duration::from_secs);
    }
    let date = mail_parser::DateTime::parse_rfc822(value)?.to_timestamp();
    let now = (io::unix_nanos() / 1_000_000_000) as i64;
    Some(Duration::from_secs(u64::try_from(date - now).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_receivers_ask_for() {
        assert_eq!(of_header("120"), Some(Duration::from_secs(120)));
        assert_eq!(of_header("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let far = of_header("Wed, 21 Oct 2099 07:28:00 GMT");
        assert!(far > Some(Duration::from_secs(86_400)));
        assert_eq!(of_header("soon"), None);
        let text = "http://a/: 429 Too Many Requests (Retry-After: 7)";
        assert_eq!(named_in(text), Some(Duration::from_secs(7)));
        assert_eq!(named_in("429 Too Many Requests"), None);
    }
}

//! Tags: how they are spelled, and which a message has from the start.

use crate::message::Parsed;
use regex::{Regex, RegexBuilder};

/// Characters of one tag; the rest is cut off, as Mailpit does.
const TAG_CHARS: usize = 100;
/// Tags of one message.
const TAGS: usize = 100;

/// Which messages get which tags by themselves.
#[derive(Debug, Clone, Default)]
pub struct TagRules {
    /// Tags by search expression, in the order they were given.
    pub filters: Vec<(String, crate::search::Search)>,
    /// No tags of plus-addresses.
    pub no_plus_addresses: bool,
    /// No tags of X-Tags headers.
    pub no_header: bool,
    /// The name of the login becomes a tag.
    pub username: bool,
    /// Tags begin with capitals.
    pub title_case: bool,
}

/// A tag with what Mailpit keeps of it: letters, digits, spaces and `-_.@`; other characters become spaces.
pub fn spelled(tag: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.@".contains(c) { c } else { ' ' };
    let text: String = tag.chars().map(kept).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(TAG_CHARS).collect::<String>().trim().to_string()
}

/// These tags, each spelled well and there once, sorted.
pub fn tidy<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut tags: Vec<String> = tags
        .into_iter()
        .map(|tag| spelled(tag.as_ref()))
        .filter(|tag| !tag.is_empty())
        .take(TAGS)
        .collect();
    tags.sort_by_key(|tag| tag.to_lowercase());
    tags.dedup_by(|a, b| a.to_lowercase() == b.to_lowercase());
    tags
}

/// The tags that a message brings along: of its X-Tags header, of its plus-addresses, of the login.
pub fn of_message(parsed: &Parsed, user: Option<&str>, rules: &TagRules) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    if !rules.no_header {
        let listed = parsed.headers.get("X-Tags").into_iter().flatten();
        tags.extend(listed.flat_map(|line| line.split(',')).map(str::to_string));
    }
    if !rules.no_plus_addresses {
        let recipients = [&parsed.to, &parsed.cc, &parsed.bcc].into_iter().flatten();
        let plus = recipients
            .filter_map(|to| to.address.split_once('@'))
            .filter_map(|(local, _)| local.split_once('+'))
            .flat_map(|(_, tags)| tags.split('+'));
        tags.extend(plus.map(str::to_string));
    }
    if rules.username {
        tags.extend(user.map(str::to_string));
    }
    if rules.title_case {
        tags = tags.iter().map(|tag| title_case(tag)).collect();
    }
    tidy(tags)
}

fn title_case(text: &str) -> String {
    let mut begins = true;
    text.chars()
        .map(|c| {
            let upper = begins;
            begins = c == ' ';
            if upper {
                c.to_uppercase().collect::<String>()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// A regular expression of an operator's, with a bound on what it may take.
///
/// # Errors
/// What is wrong with it.
pub fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("`{text}` is not a regular expression: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling() {
        assert_eq!(spelled("  a/b\t\"c\" "), "a b c");
        assert_eq!(spelled("Größe_1.2@x-y"), "Größe_1.2@x-y");
        assert_eq!(spelled(&"x".repeat(200)).len(), 100);
        assert_eq!(spelled("%%"), "");
        assert_eq!(tidy(["b", "A", "a", "", "b"]), ["A", "b"]);
        assert_eq!(title_case("new orders"), "New Orders");
    }
}

//! Sorts failures into categories by rules over their text.
//!
//! The rules are compiled once per process; each shard remembers what it has sorted, by the text without what changes from
//! message to message, so that a burst of equal refusals costs one hash each.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regex::{RegexSet, RegexSetBuilder};

use crate::limits::{CLASSIFIER_CACHE_ENTRIES, MAX_RULE_PROGRAM_BYTES};
use crate::suggest;

/// Category of what no rule matches.
pub const UNCATEGORIZED: &str = "Uncategorized";

/// The rules shipped in the binary.
pub const BUILT_IN: &str = include_str!("../../lua/data/bounces.toml");

/// Compiled rules.
pub struct ClassifierRules {
    set: RegexSet,
    /// Category of each pattern.
    categories: Vec<Arc<str>>,
    cache_entries: usize,
}

impl std::fmt::Debug for ClassifierRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} classifier rules", self.categories.len())
    }
}

/// One file: its name for errors, and its text.
pub struct RuleFile<'a> {
    /// Name.
    pub name: &'a str,
    /// TOML, or JSON when the name ends so.
    pub text: &'a str,
}

type Listed = Vec<(String, Vec<String>)>;

impl ClassifierRules {
    /// Compiles the rules of all files. Of several rules that match, the one that was written first decides.
    pub fn compile(
        files: &[RuleFile<'_>],
        cache_entries: usize,
    ) -> Result<ClassifierRules, String> {
        let mut patterns = Vec::new();
        let mut categories = Vec::new();
        for file in files {
            let rules = read(file).map_err(|e| format!("{}: {e}", file.name))?;
            for (category, list) in rules {
                let category: Arc<str> = category.into();
                for pattern in list {
                    regex::Regex::new(&pattern)
                        .map_err(|e| format!("{}: {category}: {e}", file.name))?;
                    patterns.push(pattern);
                    categories.push(category.clone());
                }
            }
        }
        let set = RegexSetBuilder::new(&patterns).size_limit(MAX_RULE_PROGRAM_BYTES).build();
        let set = set.map_err(|e| format!("the rules together: {e}"))?;
        Ok(ClassifierRules { set, categories, cache_entries })
    }

    /// The category of a text as `code enhanced content`.
    pub fn category(&self, text: &str) -> &str {
        self.set.matches(text).into_iter().next().map_or(UNCATEGORIZED, |n| &self.categories[n])
    }
}

/// The rules of one file in the order they were written.
fn read(file: &RuleFile<'_>) -> Result<Listed, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Spans {
        rules: BTreeMap<String, toml::Spanned<Vec<String>>>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plain {
        rules: BTreeMap<String, Vec<String>>,
    }
    if file.name.ends_with(".json") {
        let plain: Plain = serde_json::from_str(file.text).map_err(|e| e.to_string())?;
        return Ok(plain.rules.into_iter().collect());
    }
    let spans: Spans =
        toml::from_str(file.text).map_err(|e| e.to_string().trim_end().to_owned())?;
    let mut rules: Vec<_> = spans.rules.into_iter().collect();
    rules.sort_by_key(|(_, list)| list.span().start);
    Ok(rules.into_iter().map(|(category, list)| (category, list.into_inner())).collect())
}

/// The rules with the memory of one shard.
pub struct ShardClassifier {
    rules: Arc<ClassifierRules>,
    seen: RefCell<HashMap<String, Option<usize>>>,
}

impl ShardClassifier {
    /// For one shard.
    pub fn new(rules: Arc<ClassifierRules>) -> ShardClassifier {
        ShardClassifier { rules, seen: RefCell::default() }
    }

    /// The category of a response.
    pub fn classify(&self, code: u16, enhanced: Option<(u8, u16, u16)>, content: &str) -> &str {
        let mut text = match enhanced {
            Some((class, subject, detail)) => format!("{code} {class}.{subject}.{detail} "),
            None => format!("{code} "),
        };
        let head = text.len();
        text.push_str(content);
        let key = text[..head].to_owned() + &normalize(content);
        let known = self.seen.borrow().get(&key).copied();
        let found = known.unwrap_or_else(|| {
            let found = self.rules.set.matches(&text).into_iter().next();
            let mut seen = self.seen.borrow_mut();
            if seen.len() >= self.rules.cache_entries.clamp(1, CLASSIFIER_CACHE_ENTRIES) {
                seen.clear();
            }
            seen.insert(key, found);
            found
        });
        found.map_or(UNCATEGORIZED, |n| &self.rules.categories[n])
    }
}

/// A response without what differs from message to message: addresses, hosts' ids, numbers of sessions.
pub fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        // Of `ids=...` what stands behind the sign changes.
        let core = match core.split_once('=') {
            Some((_, value)) if !value.is_empty() && !core.contains('@') => value,
            _ => core,
        };
        match placeholder(core) {
            Some(name) => {
                let (before, after) = word.split_once(core).unwrap_or(("", ""));
                out.push_str(before);
                out.push_str(name);
                out.push_str(after);
            }
            None => out.push_str(word),
        }
    }
    out
}

/// What stands for a word that is an address, a time or an id; nothing for plain words, short numbers and enhanced codes.
fn placeholder(word: &str) -> Option<&'static str> {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.contains('@') {
        return Some("{email}");
    }
    if digits == 0 || word.contains("://") {
        return None;
    }
    if word.parse::<std::net::IpAddr>().is_ok() {
        Some("{ipaddr}")
    } else if is_uuid(word) {
        Some("{uuid}")
    } else if is_instant(word) {
        Some("{timestamp}")
    } else if digits == word.len() {
        (digits >= 6).then_some("{number}")
    } else if word.len() >= 8 && digits >= 2 {
        Some("{hash}")
    } else {
        None
    }
}

/// 32 hexadecimal digits, with or without the dashes of RFC 9562.
fn is_uuid(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = word.bytes().filter(|c| *c == b'-').count();
    digits == 32 && digits + dashes == word.len() && (dashes == 0 || dashes == 4)
}

/// A date and time as ISO 8601 has them.
fn is_instant(word: &str) -> bool {
    let Some((date, time)) = word.split_once('T') else { return false };
    let digits_and = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || more.contains(c))
    };
    date.len() == 10 && digits_and(date, "-") && digits_and(time, ":.+-Z")
}

/// A warning for a category that looks like a misspelt one of the usual.
pub fn advice(category: &str, usual: &[&'static str]) -> Option<String> {
    if usual.contains(&category) {
        return None;
    }
    let near = suggest::nearest(category, usual.iter().copied())?;
    Some(format!("bounce classifier: category `{category}` is close to the usual `{near}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> Arc<ClassifierRules> {
        let file = RuleFile { name: "built-in.toml", text: BUILT_IN };
        Arc::new(ClassifierRules::compile(&[file], 100).unwrap())
    }

    #[test]
    fn common_answers() {
        let rules = ShardClassifier::new(built_in());
        for (code, enhanced, text, category) in [
            (550, Some((5, 1, 1)), "The email account does not exist", "InvalidRecipient"),
            (550, None, "No such user here", "InvalidRecipient"),
            (552, Some((5, 2, 2)), "Mailbox full", "QuotaIssues"),
            (452, Some((4, 2, 2)), "over quota", "QuotaIssues"),
            (
                550,
                Some((5, 7, 1)),
                "Service unavailable, Client host [192.0.2.1] blocked using Spamhaus",
                "SpamBlock",
            ),
            (
                550,
                Some((5, 7, 26)),
                "Unauthenticated email from x is not accepted (DMARC)",
                "AuthenticationFailed",
            ),
            (421, Some((4, 7, 0)), "Try again later, too many connections", "RateLimited"),
            (551, Some((5, 4, 7)), "Next delivery time would be too late", "MessageExpired"),
            (450, Some((4, 4, 3)), "DNS failed", "DNSFailure"),
            (550, Some((5, 7, 1)), "Relaying denied", "RelayDenied"),
            (450, None, "Error: command failed", UNCATEGORIZED),
        ] {
            assert_eq!(rules.classify(code, enhanced, text), category, "{code} {text}");
            assert_eq!(rules.classify(code, enhanced, text), category, "again: {code} {text}");
        }
    }

    #[test]
    fn first_written_wins() {
        let text = "[rules]\nZeta = ['x']\nAlpha = ['x', 'y']\n";
        let rules = ClassifierRules::compile(&[RuleFile { name: "t.toml", text }], 10).unwrap();
        assert_eq!(rules.category("550 x"), "Zeta");
        assert_eq!(rules.category("550 y"), "Alpha");
        assert_eq!(rules.category("550 z"), UNCATEGORIZED);
    }

    #[test]
    fn bad_rules_are_named() {
        let e =
            |text| ClassifierRules::compile(&[RuleFile { name: "b.toml", text }], 10).unwrap_err();
        assert!(e("[rules]\nA = ['(']").starts_with("b.toml: A: "));
        assert!(e("[rulez]").starts_with("b.toml: "));
    }

    #[test]
    fn noise_is_taken_out() {
        assert_eq!(
            normalize("5.1.1 <u@ok.test>: unknown  user [192.0.2.1] id=a1b2c3d4e5 after 1234567s"),
            "5.1.1 <{email}>: unknown user [{ipaddr}] id={hash} after {hash}"
        );
        assert_eq!(
            normalize("ids=754df748eace11f197669ee00dd3bb4a 1a9b3c5d-0000-4000-8000-00000000000f at 2026-01-02T03:04:05Z http://x.test/a1b2c3d4"),
            "ids={uuid} {uuid} at {timestamp} http://x.test/a1b2c3d4"
        );
        assert_eq!(normalize("450 4.7.1 wait 300 seconds"), "450 4.7.1 wait 300 seconds");
    }

    #[test]
    fn memory_is_bounded() {
        let c = ShardClassifier::new(built_in());
        for i in 0..1000 {
            c.classify(550, None, &"x".repeat(i));
        }
        assert!(c.seen.borrow().len() <= 100);
    }
}

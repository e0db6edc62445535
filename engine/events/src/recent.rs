//! What a shard's mail has done since it was last asked: by provider, domain, tenant and source, and in the words of next
//! hops. The history of the console is made of it. It is emptied each time, so that its size follows from a few seconds'
//! mail; beyond its bounds, names and words are counted as "other".

use hdrhistogram::Histogram;
use ringmta_io::Map;
use ringmta_mail::QueueName;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::cell::RefCell;

/// Names of one kind that are told apart between two looks.
const NAMES_MAX: usize = 2_000;
/// Answers that are told apart between two looks.
const ANSWERS_MAX: usize = 500;
/// Bytes of an answer's text that are kept.
const ANSWER_BYTES_MAX: usize = 200;
/// The name of what is not told apart.
pub const OTHER: &str = "(other)";

/// What became of recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// Delivered.
    Delivered,
    /// Put off by an answer or a failure.
    Deferred,
    /// Failed for good.
    Failed,
}

/// Recipients, by what became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Delivered.
    pub delivered: u64,
    /// Put off.
    pub deferred: u64,
    /// Failed.
    pub failed: u64,
}

impl Tally {
    /// Adds `count` recipients.
    pub fn note(&mut self, became: Became, count: u64) {
        match became {
            Became::Delivered => self.delivered += count,
            Became::Deferred => self.deferred += count,
            Became::Failed => self.failed += count,
        }
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Tally) {
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.failed += other.failed;
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.delivered + self.deferred + self.failed
    }
}

/// By what mail is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// The provider of the path, else the site.
    Provider,
    /// The recipient's domain.
    Domain,
    /// The tenant.
    Tenant,
    /// The egress source.
    Source,
}

impl By {
    /// All of them, in the order of [`Names`].
    pub const ALL: [By; 4] = [By::Provider, By::Domain, By::Tenant, By::Source];

    /// Its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Provider => "provider",
            By::Domain => "domain",
            By::Tenant => "tenant",
            By::Source => "source",
        }
    }
}

/// Tallies by name.
pub type Names = Map<Box<str>, Tally>;

/// A next hop's answer, as those of one kind are grouped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answer {
    /// Who gave it: the provider, else the site.
    pub who: Box<str>,
    /// Three digits.
    pub code: u16,
    /// Its words; numbers and what looks like an id are a `#`.
    pub text: Box<str>,
}

/// What was counted between two looks.
#[derive(Debug, Default, Clone)]
pub struct Part {
    /// All mail.
    pub total: Tally,
    /// The same by name, in the order of [`By::ALL`].
    pub names: [Names; 4],
    /// Answers that put mail off or failed it.
    pub answers: Map<Answer, u64>,
}

/// What is being counted.
#[derive(Default)]
pub struct Recent(RefCell<Part>);

impl Recent {
    /// `count` recipients of a queue have come to something over `via`.
    pub fn note(&self, became: Became, count: usize, queue: &QueueName, via: Option<&Via>) {
        let count = count as u64;
        let mut part = self.0.borrow_mut();
        part.total.note(became, count);
        let [provider, domain, tenant, source] = &mut part.names;
        let of_path = via.filter(|via| !via.source.is_empty());
        if let Some(via) = of_path {
            add(provider, via.who(), became, count);
            add(source, &via.source, became, count);
        }
        add(domain, &queue.domain, became, count);
        if let Some(name) = &queue.tenant {
            add(tenant, name, became, count);
        }
    }

    /// A next hop, or the engine in its place, has said why.
    pub fn answered(&self, via: &Via, response: &Response) {
        let answer = Answer {
            who: via.who().into(),
            code: response.code,
            text: grouped(&response.content).into(),
        };
        let mut part = self.0.borrow_mut();
        let is_full = part.answers.len() >= ANSWERS_MAX;
        match part.answers.get_mut(&answer) {
            Some(count) => *count += 1,
            None if is_full => {
                let other = Answer { who: OTHER.into(), code: 0, text: OTHER.into() };
                *part.answers.entry(other).or_default() += 1;
            }
            None => drop(part.answers.insert(answer, 1)),
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> Part {
        self.0.take()
    }
}

fn add(names: &mut Names, name: &str, became: Became, count: u64) {
    if let Some(tally) = names.get_mut(name) {
        return tally.note(became, count);
    }
    let name = if names.len() < NAMES_MAX { name } else { OTHER };
    names.entry(name.into()).or_default().note(became, count);
}

/// The words of an answer without what differs from one to the next: words with a digit in them are a `#`, as addresses,
/// ids and counts are.
pub fn grouped(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if out.len() >= ANSWER_BYTES_MAX {
            out.push('…');
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let varies = word.bytes().any(|byte| byte.is_ascii_digit()) || word.contains('@');
        let is_code = word.len() <= 8 && word.split('.').count() == 3;
        match varies && !is_code {
            true if out.ends_with("# ") => drop(out.pop()),
            true => out.push('#'),
            false => out.extend(word.chars().take(ANSWER_BYTES_MAX)),
        }
    }
    out
}

/// Percentiles of what was added to `now` since `before`, microseconds; none when nothing was.
pub fn percentiles(
    now: &Histogram<u32>,
    before: Option<&Histogram<u32>>,
    wanted: &[f64],
) -> Option<Vec<u64>> {
    let mut since = now.clone();
    if let Some(before) = before {
        since.subtract(before).ok()?;
    }
    let is_empty = since.is_empty();
    (!is_empty).then(|| wanted.iter().map(|at| since.value_at_quantile(*at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_kind_are_one() {
        for (text, group) in [
            ("4.2.1 mailbox of ann@example.com is full", "4.2.1 mailbox of # is full"),
            ("try again in 30 s (queue 4F2A9)", "try again in # s (queue #"),
            ("blocked, see https://help.test/?id=8812 for 192.0.2.1", "blocked, see # for #"),
            ("", ""),
        ] {
            assert_eq!(grouped(text), group);
        }
        assert!(grouped(&"word ".repeat(10_000)).len() <= ANSWER_BYTES_MAX + 8);
        assert!(grouped(&"ä".repeat(10_000)).len() <= 2 * ANSWER_BYTES_MAX);
    }

    #[test]
    fn names_are_bounded_and_the_sum_stays_true() {
        let recent = Recent::default();
        for index in 0..NAMES_MAX + 50 {
            let queue = QueueName::for_domain(format!("d{index}.test"));
            recent.note(Became::Delivered, 2, &queue, None);
        }
        let part = recent.take();
        let domains = &part.names[1];
        assert_eq!(domains.len(), NAMES_MAX + 1);
        assert_eq!(domains[OTHER].delivered, 100);
        assert_eq!(part.total.sum(), 2 * (NAMES_MAX as u64 + 50));
        assert_eq!(recent.take().total.sum(), 0, "it begins anew");
    }

    #[test]
    fn a_path_is_called_by_its_provider_or_its_site() {
        let mut via = Via::of_queue("ip1->(mx1|mx2).example.com@smtp_client");
        via.source = "ip1".into();
        let recent = Recent::default();
        let queue = QueueName::for_domain("example.com");
        recent.note(Became::Deferred, 1, &queue, Some(&via));
        via.provider = Some("example".into());
        recent.note(Became::Failed, 1, &queue, Some(&via));
        recent
            .answered(&via, &Response { code: 421, content: "no 1".into(), ..Response::default() });
        let part = recent.take();
        assert_eq!(part.names[0]["(mx1|mx2).example.com"].deferred, 1);
        assert_eq!(part.names[0]["example"].failed, 1);
        assert_eq!(part.names[3]["ip1"].sum(), 2);
        let answer = Answer { who: "example".into(), code: 421, text: "no #".into() };
        assert_eq!(part.answers[&answer], 1);
    }
}

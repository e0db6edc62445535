//! The books: per loadgen id, what was promised and what became of it.

use super::spread::Spread;
use crate::ledger::{self, Entry};
use crate::limits;
use serde::Serialize;
use std::collections::HashMap;

/// What is known of one message, in recipients.
#[derive(Debug, Default, Clone, Copy)]
struct Account {
    acknowledged: u64,
    delivered: u64,
    failed: u64,
    /// Microseconds of the machine's clock, 0 while unknown: due, acknowledged, last arrived.
    due_us: u64,
    acked_us: u64,
    got_us: u64,
}

impl Account {
    fn missing(self) -> u64 {
        self.acknowledged.saturating_sub(self.delivered.saturating_add(self.failed))
    }

    fn duplicates(self) -> u64 {
        if self.acknowledged == 0 {
            return 0;
        }
        self.delivered.saturating_sub(self.acknowledged)
    }
}

/// Messages, and the recipients they add up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Recipients of these messages.
    pub recipients: u64,
}

impl Count {
    fn add(&mut self, recipients: u64) {
        if recipients > 0 {
            self.messages += 1;
            self.recipients += recipients;
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Acknowledged to the source.
    pub acknowledged: Count,
    /// Refused to the source, in messages.
    pub refused: u64,
    /// Acknowledged and arrived, each recipient counted once.
    pub delivered: Count,
    /// Acknowledged and reported as failed.
    pub failed: Count,
    /// Acknowledged, and neither arrived nor failed.
    pub missing: Count,
    /// Arrived more often than acknowledged.
    pub duplicates: Count,
    /// Arrived, but never acknowledged: the source was cut off before it could read the reply.
    pub unknown: Count,
    /// Arrived without a loadgen id, in messages.
    pub unidentified: u64,
    /// Lines that are no ledger lines.
    pub unreadable_lines: u64,
    /// From when a message was due to when it arrived (its last copy), if the ledgers tell times.
    pub due_to_delivered_us: Option<Spread>,
    /// From when the source read the 250 to when it arrived; 0 when it arrived before.
    pub accepted_to_delivered_us: Option<Spread>,
    /// The first of the missing ids, sorted.
    pub missing_ids: Vec<String>,
}

/// All accounts, fed line by line.
#[derive(Debug, Default)]
pub struct Books {
    accounts: HashMap<Box<str>, Account>,
    refused: u64,
    unidentified: u64,
    unreadable_lines: u64,
}

impl Books {
    fn enter(&mut self, id: &str, change: impl FnOnce(&mut Account)) {
        // Looked up before it is inserted: most lines are the second of their id, and need no key of their own.
        match self.accounts.get_mut(id) {
            Some(account) => change(account),
            None => change(self.accounts.entry(id.into()).or_default()),
        }
    }

    /// Enters a line of a source's or a sink's ledger.
    pub fn ledger_line(&mut self, line: &str) {
        match ledger::parse(line) {
            Some(Entry::Ack { id, recipients, times, .. }) => self.enter(id, |account| {
                account.acknowledged += u64::from(recipients);
                (account.due_us, account.acked_us) = times.unwrap_or_default();
            }),
            Some(Entry::Got { id: ledger::NO_ID, .. }) => self.unidentified += 1,
            Some(Entry::Got { id, recipients, at }) => self.enter(id, |account| {
                account.delivered += u64::from(recipients);
                account.got_us = account.got_us.max(at.unwrap_or(0));
            }),
            Some(Entry::Nak { .. }) => self.refused += 1,
            None => self.unreadable_lines += 1,
        }
    }

    /// Enters a line of a list of failed ids: `<id>` for all its recipients, or `<id> <recipients>`.
    pub fn failed_line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let Some(id) = words.next() else { return };
        let failed = match words.next() {
            None => Some(u64::MAX),
            Some(count) => count.parse().ok(),
        };
        match failed {
            Some(failed) => {
                self.enter(id, |account| account.failed = account.failed.saturating_add(failed))
            }
            None => self.unreadable_lines += 1,
        }
    }

    /// Whether something was acknowledged and nothing of it is missing.
    #[must_use]
    pub fn settled(&self) -> bool {
        let mut accounts = self.accounts.values();
        accounts.clone().any(|account| account.acknowledged > 0)
            && accounts.all(|account| account.missing() == 0)
    }

    /// Closes the books.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut sum = Summary {
            refused: self.refused,
            unidentified: self.unidentified,
            unreadable_lines: self.unreadable_lines,
            ..Summary::default()
        };
        let mut missing = Vec::new();
        let (mut from_due, mut from_acked) = (Vec::new(), Vec::new());
        for (id, account) in &self.accounts {
            sum.acknowledged.add(account.acknowledged);
            sum.delivered.add(account.delivered.min(account.acknowledged));
            sum.failed
                .add(account.failed.min(account.acknowledged.saturating_sub(account.delivered)));
            sum.missing.add(account.missing());
            sum.duplicates.add(account.duplicates());
            if account.acknowledged == 0 {
                sum.unknown.add(account.delivered);
            }
            if account.due_us > 0 && account.got_us > 0 {
                from_due.push(account.got_us.saturating_sub(account.due_us));
                from_acked.push(account.got_us.saturating_sub(account.acked_us));
            }
            if account.missing() > 0 {
                missing.push(id);
            }
        }
        sum.due_to_delivered_us = Spread::of(from_due);
        sum.accepted_to_delivered_us = Spread::of(from_acked);
        missing.sort_unstable_by_key(|id| (id.len(), (*id).clone()));
        sum.missing_ids =
            missing.into_iter().take(limits::MISSING_SHOWN).map(ToString::to_string).collect();
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(ledger: &[&str], failed: &[&str]) -> Books {
        let mut books = Books::default();
        ledger.iter().for_each(|line| books.ledger_line(line));
        failed.iter().for_each(|line| books.failed_line(line));
        books
    }

    fn count(messages: u64, recipients: u64) -> Count {
        Count { messages, recipients }
    }

    #[test]
    fn everything_arrived() {
        let books = books(
            &["ack r-1 2 x", "got r-1 1", "got r-1 1", "ack r-2 1 -", "got r-2 1", "nak r-3 451"],
            &[],
        );
        assert!(books.settled());
        let sum = books.summary();
        assert_eq!(sum.acknowledged, count(2, 3));
        assert_eq!(sum.delivered, count(2, 3));
        assert_eq!((sum.missing, sum.duplicates, sum.refused), (count(0, 0), count(0, 0), 1));
    }

    #[test]
    fn a_recipient_is_missing() {
        let books = books(&["ack r-10 2 x", "got r-10 1", "ack r-9 1 y"], &[]);
        assert!(!books.settled());
        assert_eq!(books.summary().missing, count(2, 2));
        assert_eq!(books.summary().missing_ids, ["r-9", "r-10"]);
    }

    #[test]
    fn duplicates_and_unknown_are_told_apart() {
        let books =
            books(&["ack r-1 1 x", "got r-1 1", "got r-1 1", "got r-7 3", "got - 1", "torn"], &[]);
        assert!(books.settled());
        let sum = books.summary();
        assert_eq!(sum.duplicates, count(1, 1));
        assert_eq!(sum.unknown, count(1, 3));
        assert_eq!((sum.unidentified, sum.unreadable_lines), (1, 1));
    }

    #[test]
    fn failures_account_for_what_did_not_arrive() {
        let lines = ["ack r-1 3 x", "got r-1 1", "ack r-2 3 x", "got r-2 1", "ack r-3 3 x"];
        let books = books(&lines, &["r-1", "r-2 1", "", "r-3 x"]);
        let sum = books.summary();
        assert_eq!(sum.missing, count(2, 4));
        assert_eq!(sum.failed, count(2, 3));
        assert_eq!(sum.unreadable_lines, 1);
    }

    #[test]
    fn times_of_both_ledgers_are_joined() {
        let lines =
            ["ack r-1 1 x 100 150", "got r-1 1 400", "got r-2 1 160", "ack r-2 1 y 120 170"];
        let sum = books(&lines, &[]).summary();
        let (due, acked) =
            (sum.due_to_delivered_us.unwrap(), sum.accepted_to_delivered_us.unwrap());
        assert_eq!((due.p50, due.max), (40, 300));
        assert_eq!((acked.p50, acked.max), (0, 250));
        assert_eq!(books(&["ack r-1 1 x", "got r-1 1"], &[]).summary().due_to_delivered_us, None);
    }

    #[test]
    fn nothing_acknowledged_is_not_settled() {
        assert!(!books(&["got r-1 1"], &[]).settled());
    }
}

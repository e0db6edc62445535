//! Reading one ledger line.

/// A line of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Acknowledged to the source.
    Ack {
        /// Loadgen id.
        id: &'a str,
        /// Recipients the server took.
        recipients: u32,
        /// What the server calls the message.
        ids: &'a str,
    },
    /// Refused to the source.
    Nak {
        /// Loadgen id.
        id: &'a str,
        /// SMTP reply code.
        code: u16,
    },
    /// Taken by the sink.
    Got {
        /// Loadgen id.
        id: &'a str,
        /// Recipients of this transaction.
        recipients: u32,
    },
}

/// Reads a line without its line end; `None` when it is no ledger line (a torn one, for instance).
#[must_use]
pub fn parse(line: &str) -> Option<Entry<'_>> {
    let mut words = line.split(' ');
    let (kind, id, number) = (words.next()?, words.next()?, words.next()?);
    if id.is_empty() {
        return None;
    }
    let rest = words.next();
    if words.next().is_some() {
        return None;
    }
    match (kind, rest) {
        ("ack", Some(ids)) => Some(Entry::Ack { id, recipients: number.parse().ok()?, ids }),
        ("nak", None) => Some(Entry::Nak { id, code: number.parse().ok()? }),
        ("got", None) => Some(Entry::Got { id, recipients: number.parse().ok()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds() {
        let ack = Entry::Ack { id: "0a-1", recipients: 3, ids: "x,y" };
        assert_eq!(parse("ack 0a-1 3 x,y"), Some(ack));
        assert_eq!(parse("nak 0a-1 451"), Some(Entry::Nak { id: "0a-1", code: 451 }));
        assert_eq!(parse("got 0a-1 1"), Some(Entry::Got { id: "0a-1", recipients: 1 }));
    }

    #[test]
    fn torn_and_foreign_lines() {
        for line in [
            "",
            "ack",
            "ack 0a-1",
            "ack 0a-1 3",
            "ack 0a-1 x y",
            "got  1",
            "got a 1 b",
            "foo a 1",
            "ack a 1 b c",
        ] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}

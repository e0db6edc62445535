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
        /// When it was due and when it was acknowledged, microseconds.
        times: Option<(u64, u64)>,
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
        /// When it was taken, microseconds.
        at: Option<u64>,
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
    let rest = [words.next(), words.next(), words.next()];
    if words.next().is_some() {
        return None;
    }
    let entry = match (kind, rest) {
        ("ack", [Some(ids), due, acked]) => {
            let times = match (due, acked) {
                (None, None) => None,
                (due, acked) => Some((due?.parse().ok()?, acked?.parse().ok()?)),
            };
            Entry::Ack { id, recipients: number.parse().ok()?, ids, times }
        }
        ("nak", [None, ..]) => Entry::Nak { id, code: number.parse().ok()? },
        ("got", [at, None, None]) => {
            let at = at.map(str::parse).transpose().ok()?;
            Entry::Got { id, recipients: number.parse().ok()?, at }
        }
        _ => return None,
    };
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds() {
        let ack = |times| Some(Entry::Ack { id: "0a-1", recipients: 3, ids: "x,y", times });
        assert_eq!(parse("ack 0a-1 3 x,y"), ack(None));
        assert_eq!(parse("ack 0a-1 3 x,y 5 17"), ack(Some((5, 17))));
        assert_eq!(parse("nak 0a-1 451"), Some(Entry::Nak { id: "0a-1", code: 451 }));
        let got = |at| Some(Entry::Got { id: "0a-1", recipients: 1, at });
        assert_eq!(parse("got 0a-1 1"), got(None));
        assert_eq!(parse("got 0a-1 1 99"), got(Some(99)));
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
            "ack a 1 b 5",
            "ack a 1 b 5 6 7",
            "got a 1 5 6",
            "nak a 451 5",
        ] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}

//! What is measured: one cell is one combination of settings.

use std::fmt;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Our loadgen, pipelining when it is offered.
    Loadgen,
    /// Debian's smtp-source, many messages per connection (`-d`).
    SmtpSource,
    /// Debian's smtp-source, a connection for each message.
    SmtpSourceOnce,
}

/// Who takes what the engine delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Our loadgen, with a ledger.
    Loadgen,
    /// Debian's smtp-sink. It keeps no ids: what it counted is all that can be checked.
    SmtpSink,
}

/// One combination of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Who sends.
    pub source: Source,
    /// Who takes.
    pub sink: Sink,
    /// Bytes of a message body.
    pub size: u64,
    /// Connections of the source.
    pub connections: u32,
    /// Destination domains.
    pub domains: u32,
    /// Sign with a 2048-bit RSA key.
    pub dkim: bool,
    /// Post every event to a receiver, in batches.
    pub webhook: bool,
    /// A receiver of the caller's own for every event, by its URL, and events per post.
    pub receiver: Option<(String, u32)>,
    /// Share of messages the sink refuses for now, percent.
    pub tempfail: u32,
    /// Shards of ringmta.
    pub shards: u32,
}

impl Default for Cell {
    fn default() -> Cell {
        Cell {
            source: Source::SmtpSource,
            sink: Sink::Loadgen,
            size: 10_240,
            connections: 50,
            domains: 1,
            dkim: false,
            webhook: false,
            receiver: None,
            tempfail: 0,
            shards: 2,
        }
    }
}

impl Cell {
    /// Messages of one run: fewer when they are large or slow.
    pub fn messages(&self, base: u64) -> u64 {
        match self.size {
            size if size > 50_000 => base / 4,
            _ if self.connections == 1 => base / 4,
            _ if self.source == Source::SmtpSourceOnce => base / 2,
            _ => base,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Loadgen => "loadgen",
            Source::SmtpSource => "smtp-source -d",
            Source::SmtpSourceOnce => "smtp-source",
        };
        write!(f, "{source}, {} KB, {} conn", self.size / 1024, self.connections)?;
        if self.domains > 1 {
            write!(f, ", {} domains", self.domains)?;
        }
        if self.dkim {
            write!(f, ", DKIM")?;
        }
        if self.webhook {
            write!(f, ", webhook")?;
        }
        if self.tempfail > 0 {
            write!(f, ", {} % tempfail", self.tempfail)?;
        }
        if self.sink == Sink::SmtpSink {
            write!(f, ", smtp-sink (by its count)")?;
        }
        if self.shards != 2 {
            write!(f, ", {} shards", self.shards)?;
        }
        Ok(())
    }
}

/// The cells of the short form.
pub fn short() -> Vec<Cell> {
    vec![
        Cell::default(),
        Cell { source: Source::SmtpSourceOnce, ..Cell::default() },
        Cell { source: Source::Loadgen, ..Cell::default() },
        Cell { source: Source::Loadgen, connections: 500, ..Cell::default() },
        Cell { sink: Sink::SmtpSink, ..Cell::default() },
    ]
}

/// The cells of the full form: from one base, one setting changed at a time.
pub fn full() -> Vec<Cell> {
    let base = Cell::default;
    let mut cells = short();
    cells.extend([1024, 102_400].map(|size| Cell { size, ..base() }));
    cells.extend([1, 10, 500].map(|connections| Cell { connections, ..base() }));
    let loadgen = |cell| Cell { source: Source::Loadgen, ..cell };
    cells.extend([1024, 102_400].map(|size| loadgen(Cell { size, ..base() })));
    cells.extend([1, 10].map(|connections| loadgen(Cell { connections, ..base() })));
    cells.push(loadgen(Cell { domains: 1000, ..base() }));
    cells.push(loadgen(Cell { tempfail: 5, ..base() }));
    cells.push(Cell { dkim: true, ..base() });
    cells.push(Cell { webhook: true, ..base() });
    cells.push(loadgen(Cell { dkim: true, webhook: true, domains: 1000, ..base() }));
    cells.push(Cell { shards: 1, ..base() });
    cells.push(loadgen(Cell { shards: 1, ..base() }));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_twice() {
        let cells = full();
        let names: std::collections::HashSet<String> =
            cells.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), cells.len());
        assert!(names.contains("smtp-source -d, 10 KB, 50 conn"));
    }
}

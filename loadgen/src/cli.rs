//! The command line: one subcommand per face of the tool.

use clap::{Parser, Subcommand};

/// Mail load: a traffic source, a fast sink with faults on demand, and a ledger that proves nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The faces of the tool.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send messages to a server and measure how it takes them.
    ///
    /// Latency is the time from the start of a message (or from when it was due, with --rate) to the reply to its final
    /// dot. With --starttls any certificate is accepted: this is a load tool.
    ///
    /// Exit status: 0 the run was completed, 1 it ended early or nothing was acknowledged, 2 usage or I/O error.
    Source(crate::source::Options),
    /// Accept messages at full speed, or fail them on demand.
    ///
    /// Prints `listening on IP:PORT` for each address at start and a summary at the end (SIGINT, SIGTERM, or --count).
    Sink(crate::sink::Options),
    /// Compare what was acknowledged to a source with what arrived in a sink.
    ///
    /// Exit status: 0 nothing missing, 1 something missing, 2 usage or I/O error.
    Verify(crate::verify::Options),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

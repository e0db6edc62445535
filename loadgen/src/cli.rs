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
    /// Send messages to a server and measure how it takes them
    Source(crate::source::Options),
    /// Accept messages at full speed, or fail them on demand
    Sink(crate::sink::Options),
    /// Compare what was acknowledged to a source with what arrived in a sink
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

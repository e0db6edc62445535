//! The `loadgen` binary: parses the command line and runs one of its three commands.

use clap::Parser;
use loadgen::cli::{Cli, Command};
use std::process::ExitCode;

/// Exit status of a usage or I/O error; 1 is kept for "ran, but the result is bad".
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Source(options) => loadgen::source::run(&options),
        Command::Sink(options) => loadgen::sink::run(&options),
        Command::Verify(options) => loadgen::verify::run(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

//! The `ringmta` binary.

use clap::Parser;
use ringmta::cli::args::{Cli, Command};
use ringmta::cli::{ctl, dev, run, spool, validate};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Several allocations per message, from one thread each: the system's allocator spends a tenth of
/// the engine's time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let to_validate = match &cli.command {
        None if cli.validate => Some((&cli.run.policy, false)),
        Some(Command::Validate(args)) => Some((&args.policy, args.json)),
        _ => None,
    };
    // Diagnostics go to stderr; what is asked for goes to stdout. A check tells all it finds there.
    let checks = to_validate.is_some() || matches!(cli.command, Some(Command::Spool(_)));
    let default = if checks { "off" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("KUMOD_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    if let Some((policy, json)) = to_validate {
        return validate::validate(policy, json);
    }
    let result = match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Dev(args)) => dev::dev(args),
        Some(Command::Sandbox(args)) => dev::sandbox(args),
        Some(Command::Validate(_)) => return ExitCode::SUCCESS,
        Some(Command::Ctl(args)) => ctl::ctl(args),
        Some(Command::Spool(args)) => return spool::spool(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ringmta: {why}");
            ExitCode::FAILURE
        }
    }
}

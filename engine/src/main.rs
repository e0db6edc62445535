//! The `ringmta` binary.

use clap::Parser;
use ringmta::cli::args::{Cli, Command};
use ringmta::cli::inbox::{environment, ingest, readyz, sendmail};
use ringmta::cli::{
    check, ctl, dev, healthcheck, hooks, init, print, prove, run, script, spool, validate,
};
use ringmta::diagnostics;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Several allocations per message, from one thread each: the system's allocator spends a tenth of
/// the engine's time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    environment::prepare();
    let cli = Cli::parse_from(words());
    let to_validate = match &cli.command {
        None if cli.validate => Some((cli.run.policy.clone(), false, false)),
        Some(Command::Validate(args)) => Some((args.policy(), args.json, args.strict)),
        _ => None,
    };
    // Diagnostics go to stderr; what is asked for goes to stdout. A check tells all it finds there.
    let default = match (&cli.command, &cli.script) {
        (Some(Command::Test(_) | Command::Spool(_) | Command::Check(_) | Command::Init(_)), _) => {
            "off"
        }
        (Some(Command::Run(args)), _) if args.show_events => "info,event=debug",
        (None, None) if cli.run.show_events => "info,event=debug",
        (_, Some(_)) => "warn",
        (Some(Command::Sendmail(_) | Command::Ingest(_) | Command::Dump(_)), _) => "error",
        _ if to_validate.is_some() => "off",
        (Some(Command::Sandbox(args)), _) if args.inbox.others.quiet => "error",
        (Some(Command::Sandbox(args)), _) if args.inbox.others.verbose => {
            "info,ringmta_sandbox=debug"
        }
        (Some(Command::Dev(args)), _) if args.inbox.others.verbose => "info,ringmta_sandbox=debug",
        _ => "info",
    };
    if let Err(why) = diagnostics::start(default) {
        return finish(Err(why));
    }
    if let Some(Command::Sandbox(_) | Command::Dev(_)) = &cli.command {
        let nothing = |name| {
            format!("{name} in the environment is none of the inbox's variables: it does nothing")
        };
        for said in environment::unknown().into_iter().map(nothing).chain(environment::advice()) {
            // Whoever reads it may have gone.
            let _ = writeln!(std::io::stderr(), "ringmta: {said}");
        }
    }
    if let Some((policy, json, strict)) = to_validate {
        return validate::validate(&policy, json, strict);
    }
    if let Some(file) = &cli.script {
        let file = file.as_ref().unwrap_or(&cli.run.policy);
        return finish(script::script(file, &cli.args));
    }
    if !cli.args.is_empty() {
        return finish(Err("arguments behind -- need --script".into()));
    }
    let result = match &cli.command {
        None => run::run(&cli.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Dev(args)) => dev::dev(args),
        Some(Command::Sandbox(args)) => dev::sandbox(args),
        Some(Command::Sendmail(args)) => sendmail::sendmail(args),
        Some(Command::Ingest(args)) => ingest::ingest(args),
        Some(Command::Dump(args)) => ingest::dump(args),
        Some(Command::Readyz(args)) => readyz::readyz(args),
        Some(Command::Validate(_)) => return ExitCode::SUCCESS,
        Some(Command::Test(args)) => return prove::prove(args),
        Some(Command::Check(args)) => return check::check(args),
        Some(Command::Init(args)) => init::init(args),
        Some(Command::Healthcheck(args)) => healthcheck::healthcheck(args),
        Some(Command::Print(what)) => print::print(what),
        Some(Command::Ctl(args)) => ctl::ctl(args),
        Some(Command::Hooks(args)) => hooks::hooks(args),
        Some(Command::Spool(args)) => return spool::spool(args),
    };
    finish(result)
}

/// The words of the command line. A link named sendmail is that subcommand, for programs that call it; one named mailpit is
/// the inbox, or one of the programs beside it, for scripts that start Mailpit.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().and_then(|word| Path::new(word).file_name()).map(OsString::from);
    if name.as_ref().is_some_and(|name| name == "sendmail") {
        words.insert(1, "sendmail".into());
    }
    if name.as_ref().is_some_and(|name| name == "mailpit") {
        let beside = ["sendmail", "ingest", "dump", "readyz"];
        match words.get(1).map(|word| word.to_string_lossy().into_owned()) {
            Some(word) if beside.contains(&word.as_str()) => {}
            Some(word) if word == "version" => words[1] = "--version".into(),
            _ => words.insert(1, "sandbox".into()),
        }
    }
    if words.get(1).is_some_and(|word| word == "sendmail") {
        let rest = words.split_off(2);
        words.extend(sendmail::spelled(rest));
    }
    words
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ringmta: {why}");
            ExitCode::FAILURE
        }
    }
}

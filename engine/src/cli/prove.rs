//! `ringmta test`: an operator's own tests of a policy tree, run without sockets or spools.

use crate::cli::args::TestArgs;
use ringmta_policy::proving::{find, policy_of, run, Outcome};
use std::process::ExitCode;

/// A case failed.
const FAILED: u8 = 1;
/// There is nothing to run.
const USAGE: u8 = 2;

/// Runs the tests of a folder and prints what failed.
pub fn prove(args: &TestArgs) -> ExitCode {
    match outcomes(args) {
        Ok(all) => tell(args, &all),
        Err(why) => {
            tell!("ringmta: {why}");
            ExitCode::from(USAGE)
        }
    }
}

fn outcomes(args: &TestArgs) -> Result<Vec<Outcome>, String> {
    let policy = match &args.policy {
        Some(file) => file.clone(),
        None => policy_of(&args.folder).ok_or_else(|| {
            format!(
                "there is no init.lua in {} or above it; name it with --policy",
                args.folder.display()
            )
        })?,
    };
    let files = find(&args.folder)?;
    if files.is_empty() {
        return Err(format!(
            "{} holds no file whose name ends in _test.lua",
            args.folder.display()
        ));
    }
    Ok(files.iter().map(|file| run(&policy, file)).collect())
}

fn tell(args: &TestArgs, all: &[Outcome]) -> ExitCode {
    for outcome in all {
        let file = outcome.file.strip_prefix(&args.folder).unwrap_or(&outcome.file).display();
        if let Some(why) = &outcome.broken {
            say!("FAILED {file}: {why}");
        }
        for case in &outcome.cases {
            match &case.failure {
                Some(why) => say!("FAILED {file}: {}: {why}", case.name),
                None if args.verbose => say!("ok     {file}: {}", case.name),
                None => {}
            }
        }
    }
    let failed: usize = all.iter().map(Outcome::failures).sum();
    let passed = all.iter().flat_map(|o| &o.cases).filter(|case| case.failure.is_none()).count();
    let files = if all.len() == 1 { "1 file".into() } else { format!("{} files", all.len()) };
    say!("{passed} passed, {failed} failed in {files}");
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    }
}

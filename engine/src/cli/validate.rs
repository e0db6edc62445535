//! `ringmta validate`: runs a policy as a start would, without opening sockets or spools, and tells
//! everything that is wrong with it.

use crate::start::StartHost;
use crate::start_checks;
use ringmta_policy::validate::{check, Finding, Grade, Report};
use ringmta_policy::{Policy, Shared};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

/// Nothing is wrong.
const GOOD: u8 = 0;
/// The policy has errors.
const BAD: u8 = 1;
/// There is no policy to check.
const USAGE: u8 = 2;

/// Checks the policy and prints what it found, as lines or as JSON; what the policy itself says goes to stderr. With
/// `strict` a warning is as bad as an error.
pub fn validate(file: &Path, json: bool, strict: bool) -> ExitCode {
    let report = match check(file, Rc::new(StartHost)) {
        Ok(mut report) => {
            add_start(&mut report);
            report
        }
        Err(why) => {
            tell!("ringmta: {why}");
            return ExitCode::from(USAGE);
        }
    };
    for line in &report.said {
        tell!("policy: {line}");
    }
    if json {
        say!("{}", report.json());
    } else {
        say_on!("{}", report.text());
        if report.count(Grade::Error) == 0 {
            say!("{}", summary(&report));
        }
    }
    let is_bad = report.count(Grade::Error) > 0 || (strict && report.count(Grade::Warning) > 0);
    ExitCode::from(if is_bad { BAD } else { GOOD })
}

/// Adds what a start would refuse. Where `init` has failed it has not been seen what it asks for.
fn add_start(report: &mut Report) {
    if report.count(Grade::Error) > 0 {
        return;
    }
    let empty = Policy::empty(Shared::new(1), Rc::new(StartHost));
    let refusals = start_checks::look(&report.init, &empty);
    for (grade, texts) in [(Grade::Error, refusals.everywhere), (Grade::Warning, refusals.here)] {
        report.findings.extend(texts.iter().map(|text| Finding::new(grade, text)));
    }
}

/// What a start with this policy would open.
fn summary(report: &Report) -> String {
    let init = &report.init;
    format!(
        "{} ESMTP and {} HTTP listeners, {} spools, {} log files, {} hooks; handles {}",
        init.esmtp_listeners.len(),
        init.http_listeners.len(),
        init.spools.len(),
        init.local_logs.len(),
        init.log_hooks.len() + init.http_log_hooks.len(),
        report.events.join(", "),
    )
}

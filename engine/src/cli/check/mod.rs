//! `ringmta check`: this machine and its place in the network, looked at line by line: what is fine, what is not, what to do.
//!
//! [`machine`] kernel, limits, rights, clock, listeners · [`disk`] of the spool · [`names`] whom the DNS is asked of · [`network`] DNS, port 25, names · [`records`] of
//! the domains that mail is sent for · [`report`] the lines.

mod disk;
mod machine;
mod names;
mod network;
mod records;
mod report;

use crate::cli::args::CheckArgs;
use crate::start::StartHost;
use names::Names;
use report::Report;
use ringmta_policy::validate;
use ringmta_policy::InitConfig;
use std::process::ExitCode;
use std::rc::Rc;

/// Something stands in the way.
const BAD: u8 = 1;

/// Looks at everything and prints it.
pub fn check(args: &CheckArgs) -> ExitCode {
    let mut report = Report::default();
    let init = policy(args, &mut report);
    machine::look(&mut report, init.as_ref());
    disk::look(&mut report, args, init.as_ref());
    if args.offline {
        report.warn("network", "not looked at (--offline)", "run it without");
    } else {
        let names = Names::of(&args.resolver);
        network::look(&mut report, &names, args);
        records::look(&mut report, &names, args);
    }
    say!("\n{} fine, {} to look at, {} in the way", report.fine, report.odd, report.bad);
    ExitCode::from(if report.bad > 0 { BAD } else { 0 })
}

/// What the policy asks for, when one is named.
fn policy(args: &CheckArgs, report: &mut Report) -> Option<InitConfig> {
    let file = args.policy.as_ref()?;
    let cure = format!("run `ringmta validate --policy {}`", file.display());
    match validate::check(file, Rc::new(StartHost)) {
        Ok(found) if found.count(validate::Grade::Error) == 0 => {
            report
                .fine("policy", format!("{}: no errors in {} files", file.display(), found.files));
            Some(found.init)
        }
        Ok(_) => {
            report.bad("policy", format!("{} has errors", file.display()), cure);
            None
        }
        Err(why) => {
            report.bad("policy", why, "name its init.lua with --policy");
            None
        }
    }
}

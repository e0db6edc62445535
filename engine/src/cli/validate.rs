//! `ringmta validate`: runs a policy as a start would, without opening sockets or spools.

use crate::start::StartHost;
use futures::executor::block_on;
use ringmta_policy::{Mode, Policy, Shared};
use std::path::Path;
use std::rc::Rc;

/// Checks the policy and says what it found.
///
/// # Errors
/// What is wrong, with file and line.
pub fn validate(file: &Path) -> Result<(), String> {
    let shared = Shared::new(1);
    let failed = |error: ringmta_policy::PolicyError| error.to_string();
    let policy =
        Policy::load(file, shared.clone(), Rc::new(StartHost), Mode::Validate).map_err(failed)?;
    let init = block_on(policy.run_init()).map_err(failed)?;
    let passed = block_on(policy.run_validate()).map_err(failed)?;
    for warning in shared.warnings() {
        println!("warning: {warning}");
    }
    if !passed {
        return Err(format!("{}: the policy's own validation failed", file.display()));
    }
    println!(
        "{}: OK ({} ESMTP and {} HTTP listeners, {} spools, {} log files, {} hooks; handles {})",
        file.display(),
        init.esmtp_listeners.len(),
        init.http_listeners.len(),
        init.spools.len(),
        init.local_logs.len(),
        init.log_hooks.len() + init.http_log_hooks.len(),
        policy.handled_events().join(", "),
    );
    Ok(())
}

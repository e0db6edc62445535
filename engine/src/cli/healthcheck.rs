//! `ringmta healthcheck`: asks a running engine, or inbox, whether all is well, for container engines that want a command.

use crate::cli::args::HealthcheckArgs;
use std::time::Duration;

/// Asks once.
///
/// # Errors
/// What is wrong, in one line.
pub fn healthcheck(args: &HealthcheckArgs) -> Result<(), String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(args.timeout)))
        .tls_config(ringmta_policy::trust::http_tls())
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let mut answer = agent.get(&args.url).call().map_err(|error| {
        format!("{}: {error}; does it run, and is this its HTTP listener?", args.url)
    })?;
    let status = answer.status();
    if status.is_success() || args.alive {
        return Ok(());
    }
    let why = answer.body_mut().read_to_string().unwrap_or_default();
    Err(format!("{}: {status}: {}", args.url, why.trim_end()))
}

//! `ringmta readyz`: asks the inbox whether it is ready, for container engines that want a command.

use super::tools::ReadyzArgs;
use std::time::{Duration, Instant};

/// Asks, once or until it is ready.
///
/// # Errors
/// What it said, or why it could not be asked.
pub fn readyz(args: &ReadyzArgs) -> Result<(), String> {
    let scheme = if args.https { "https" } else { "http" };
    // What it listens on is not always where it is asked.
    let host = args.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    let host = if host.starts_with(':') { format!("127.0.0.1{host}") } else { host };
    let root = args.webroot.trim_matches('/');
    let root = if root.is_empty() { String::new() } else { format!("/{root}") };
    let url = format!("{scheme}://{host}{root}/readyz");
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .tls_config(ringmta_sandbox::webhook::tls(true))
        .build();
    let agent: ureq::Agent = config.into();
    let start = Instant::now();
    loop {
        let Err(error) = agent.get(&url).call() else { return Ok(()) };
        if !args.wait || start.elapsed() >= Duration::from_secs(args.timeout) {
            return Err(format!("{url}: {error}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

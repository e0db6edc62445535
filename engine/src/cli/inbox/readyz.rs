//! `ringmta readyz`: asks the inbox whether it is ready, for container engines that want a command.

use super::tools::ReadyzArgs;
use super::values::place;
use ringmta_sandbox::place::Place;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of it that are read.
const ANSWER_BYTES: u64 = 4096;

/// Asks, once or until it is ready.
///
/// # Errors
/// What it said, or why it could not be asked.
pub fn readyz(args: &ReadyzArgs) -> Result<(), String> {
    let https = args.https || args.ui_tls_cert.is_some();
    let scheme = if https { "https" } else { "http" };
    // What it listens on is not always where it is asked.
    let host = args.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    let host = if host.starts_with(':') { format!("127.0.0.1{host}") } else { host };
    let root = args.webroot.trim_matches('/');
    let root = if root.is_empty() { String::new() } else { format!("/{root}") };
    if let Ok(Place::Unix(path, _)) = place(&args.listen) {
        if https {
            return Err(
                "TLS over a Unix socket is not asked: leave --https and MP_UI_TLS_CERT out".into(),
            );
        }
        return patiently(args, &args.listen, || ask_socket(&path, &root));
    }
    let url = format!("{scheme}://{host}{root}/readyz");
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .tls_config(ringmta_sandbox::webhook::tls(true))
        .build();
    let agent: ureq::Agent = config.into();
    let ask = || agent.get(&url).call().map(|_| ()).map_err(|error| error.to_string());
    patiently(args, &url, ask)
}

fn patiently(
    args: &ReadyzArgs,
    whom: &str,
    ask: impl Fn() -> Result<(), String>,
) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let Err(error) = ask() else { return Ok(()) };
        if !args.wait || start.elapsed() >= args.timeout {
            return Err(format!("{whom}: {error}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks an inbox behind a Unix socket, which HTTP clients do not reach by a URL.
fn ask_socket(path: &Path, root: &str) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut socket = UnixStream::connect(path).map_err(said)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(said)?;
    let request = format!("GET {root}/readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(said)?;
    let mut line = String::new();
    BufReader::new(socket.take(ANSWER_BYTES)).read_line(&mut line).map_err(said)?;
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!("it answers `{}`", line.trim_end())),
    }
}

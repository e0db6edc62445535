//! Values of flags, as Mailpit takes them.

use ringmta_sandbox::place::Place;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// `1`, `true`, `yes` and their opposites.
///
/// # Errors
/// What may be written.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// Where to listen: as [`bind`], or `unix:PATH:PERMISSIONS` for a Unix socket, whose permissions are octal and 0600 unless
/// given.
///
/// # Errors
/// What may be written.
pub fn place(text: &str) -> Result<Place, String> {
    let Some(rest) = text.strip_prefix("unix:") else { return bind(text).map(Place::Tcp) };
    let digits = |mode: &str| {
        matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
    };
    let (path, mode) = match rest.rsplit_once(':') {
        Some((path, mode)) if digits(mode) => (path, u32::from_str_radix(mode, 8).unwrap_or(0o600)),
        _ => (rest, 0o600),
    };
    if path.is_empty() || path.ends_with('/') || mode > 0o777 {
        return Err("write unix:/path/of/socket, or unix:/path/of/socket:0660".into());
    }
    Ok(Place::Unix(path.into(), mode))
}

/// Where to listen: an address, a name, or a port alone for all of this machine's addresses.
///
/// # Errors
/// What may be written.
pub fn bind(text: &str) -> Result<SocketAddr, String> {
    if text.starts_with("unix:") {
        return Err("a Unix socket will not do here: give 127.0.0.1:PORT".into());
    }
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
        return Ok(SocketAddr::from(([0_u16; 8], port)));
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| "write an address and a port, such as 127.0.0.1:1025".into())
}

/// Hours or days, such as `12h` or `3d`; what `humantime` knows besides. Nothing for `0`.
///
/// # Errors
/// What may be written.
pub fn age(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|_| "write hours or days, such as 12h or 3d".into())
}

/// A time to wait: `30s`, `1m30s`, or seconds alone.
///
/// # Errors
/// What may be written.
pub fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    seconds
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "write a time, such as 30s or 2m".into())
}

/// `true`, `false`, or an address for metrics alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metrics {
    /// At `/metrics` of the web address, or nowhere.
    Here(bool),
    /// At an address of their own.
    At(SocketAddr),
}

/// Where metrics are.
///
/// # Errors
/// What may be written.
pub fn metrics(text: &str) -> Result<Metrics, String> {
    yes_or_no(text)
        .map(Metrics::Here)
        .or_else(|_| bind(text).map(Metrics::At))
        .map_err(|_| "write true, false, or an address and a port".into())
}

/// A flag that is not offered.
///
/// # Errors
/// What to do instead, unless it is switched off.
pub fn refused(text: &str, instead: &str) -> Result<String, String> {
    match text {
        "" | "0" | "false" | "no" => Ok(String::new()),
        _ => Err(instead.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(bind("127.0.0.1:25"), Ok(SocketAddr::from(([127, 0, 0, 1], 25))));
        assert_eq!(bind(":25").unwrap().to_string(), "[::]:25");
        assert!(bind("localhost:25").unwrap().ip().is_loopback());
        for wrong in ["", "25", "unix:/tmp/x", "nowhere.invalid:25", ":x"] {
            assert!(bind(wrong).is_err(), "{wrong}");
        }
        assert_eq!(place("127.0.0.1:25"), bind("127.0.0.1:25").map(Place::Tcp));
        for (text, path, mode) in [
            ("unix:/run/x.sock", "/run/x.sock", 0o600),
            ("unix:/run/x.sock:0660", "/run/x.sock", 0o660),
            ("unix:x:777", "x", 0o777),
            ("unix:/run/a:b", "/run/a:b", 0o600),
        ] {
            assert_eq!(place(text), Ok(Place::Unix(path.into(), mode)), "{text}");
        }
        for wrong in ["unix:", "unix::0600", "unix:/run/", "unix:/run/x:7777", "x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert_eq!(metrics("true"), Ok(Metrics::Here(true)));
        assert!(matches!(metrics("127.0.0.1:9090"), Ok(Metrics::At(_))));
        assert!(metrics("maybe").is_err());
    }

    #[test]
    fn ages_and_switches() {
        assert_eq!(age("3d"), Ok(Duration::from_secs(3 * 86_400)));
        assert_eq!(age("0"), Ok(Duration::ZERO));
        assert!(age("soon").is_err());
        assert_eq!((patience("90"), patience("1m30s")), (patience("90s"), patience("90")));
        assert!(patience("soon").is_err());
        assert_eq!((yes_or_no("Yes"), yes_or_no("0")), (Ok(true), Ok(false)));
        assert!(yes_or_no("maybe").is_err());
        assert_eq!(refused("false", "x"), Ok(String::new()));
        assert_eq!(refused("a", "do b"), Err("do b".into()));
    }
}

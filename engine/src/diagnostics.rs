//! What the engine says on stderr, and how much of it.

use ringmta_policy::redact;
use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{fmt, reload, EnvFilter, Registry};

/// What it says by itself.
static USUAL: OnceLock<String> = OnceLock::new();
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts to say what the environment's `KUMOD_LOG` asks for, or else what `default` does. Once per
/// process.
///
/// # Errors
/// `KUMOD_LOG` is no filter.
pub fn start(default: &str) -> Result<(), String> {
    let asked = std::env::var("KUMOD_LOG").ok().filter(|text| !text.is_empty());
    let filter = parse(&quiet(asked.as_deref().unwrap_or(default)))
        .map_err(|why| format!("the environment's KUMOD_LOG: {why}"))?;
    let _ = USUAL.set(asked.as_deref().unwrap_or(default).to_string());
    let (filter, handle) = reload::Layer::new(filter);
    let stderr = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(|| OneLine);
    // Only a second start of the same process could find both taken, and then the first stays.
    let started = tracing_subscriber::registry().with(filter).with(stderr).try_init();
    started.map_err(|error| error.to_string())?;
    let _ = FILTER.set(handle);
    Ok(())
}

/// Stderr, on which each event stays one line whatever strangers' texts it holds. The subscriber writes an event at once.
struct OneLine;

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        static COLOURS: OnceLock<bool> = OnceLock::new();
        let colours = *COLOURS.get_or_init(|| std::io::stderr().is_terminal());
        let line = one_line(event, colours);
        // Whoever worded it may have quoted a URL with its password.
        match std::str::from_utf8(&line) {
            Ok(text) => std::io::stderr().write_all(redact::urls(text).as_bytes())?,
            Err(_) => std::io::stderr().write_all(&line)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// `event` with its control characters escaped: but for the line end behind it, and the colours of a terminal.
fn one_line(event: &[u8], colours: bool) -> Cow<'_, [u8]> {
    let (text, end) = match event.strip_suffix(b"\n") {
        Some(text) => (text, true),
        None => (event, false),
    };
    let harmless = |b: &u8| *b >= b' ' && *b != 0x7f || *b == b'\t' || (colours && *b == 0x1b);
    if text.iter().all(harmless) {
        return Cow::Borrowed(event);
    }
    let mut out = Vec::with_capacity(event.len() + 16);
    for byte in text {
        match byte {
            byte if harmless(byte) => out.push(*byte),
            byte => out.extend(byte.escape_ascii()),
        }
    }
    out.extend(end.then_some(b'\n'));
    Cow::Owned(out)
}

/// Says what `filter` asks for from now on: levels by target, such as `info` or
/// `ringmta_egress=debug,info`.
///
/// # Errors
/// It is no filter.
pub fn set_filter(filter: &str) -> Result<(), String> {
    let parsed = parse(&quiet(filter))?;
    match FILTER.get() {
        Some(handle) => handle.reload(parsed).map_err(|error| error.to_string()),
        // A simulation, or a test: nothing is said.
        None => Ok(()),
    }
}

/// Says what `policy` asks for, or what the environment does.
///
/// # Errors
/// It is no filter.
pub fn reset_filter(policy: Option<&str>) -> Result<(), String> {
    let usual = policy.or_else(|| USUAL.get().map(String::as_str));
    usual.map_or(Ok(()), set_filter)
}

/// What the executor says of buffers it could not lock in memory is no reason to do anything: it works without, and
/// kernels since 5.12 do not count them. `filter` can still ask for it by name.
fn quiet(filter: &str) -> String {
    format!("glommio=error,{filter}")
}

/// Whether a filter could be set.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(drop)
}

/// The targets of other daemons of this kind mean the engine here.
fn parse(filter: &str) -> Result<EnvFilter, String> {
    let targets = filter.split(',').map(|directive| {
        let directive = directive.trim();
        let known = ["kumod", "kumo_server_common", "kumo_server_runtime"];
        let found = known.into_iter().find(|name| {
            directive.strip_prefix(name).is_some_and(|rest| !rest.starts_with(is_name))
        });
        let directive =
            found.map_or(directive.to_string(), |name| directive.replacen(name, "ringmta", 1));
        // Each stage is a crate: `ringmta::queue` is `ringmta_queue`.
        directive.replacen("ringmta::", "ringmta_", 1)
    });
    let targets: Vec<String> = targets.collect();
    EnvFilter::try_new(targets.join(",")).map_err(|error| format!("{filter:?}: {error}"))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line() {
        let plain = |event: &[u8]| one_line(event, false).into_owned();
        assert_eq!(plain(b"a\tb \xc3\xa9\n"), b"a\tb \xc3\xa9\n");
        assert_eq!(plain(b"a\nERROR forged\r\0\x7f\n"), b"a\\nERROR forged\\r\\x00\\x7f\n");
        assert_eq!(plain(b"a\nb\x1b[2J"), b"a\\nb\\x1b[2J");
        assert_eq!(&*one_line(b"\x1b[1mb\n", true), b"\x1b[1mb\n");
    }

    #[test]
    fn filters() {
        for (filter, wanted) in [
            ("info", "info"),
            ("kumod=debug", "ringmta=debug"),
            ("kumod::queue=trace, warn", "ringmta_queue=trace,warn"),
            ("ringmta::egress::session=debug", "ringmta_egress::session=debug"),
            ("kumodx=trace", "kumodx=trace"),
        ] {
            let wanted = EnvFilter::try_new(wanted).unwrap().to_string();
            assert_eq!(parse(filter).unwrap().to_string(), wanted);
        }
        assert!(parse("ringmta=loud").unwrap_err().contains("ringmta=loud"));
    }
}

//! What a service manager is told (sd_notify): ready, reloading, stopping, and, as often as it asks for it, that every shard
//! still answers. A datagram to the socket that the environment names; without one nothing is said.

use crate::limits;
use ringmta_shard::mesh::Letter;
use ringmta_shard::process::Process;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::mpsc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The service manager that started this process, if one wants to hear of it.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Time within which it must hear that all is well, else it kills and starts anew.
    patience: Option<Duration>,
}

impl Supervisor {
    /// As the environment has it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn of_environment() -> Supervisor {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("the service manager's socket {}: {error}", name.display());
                None
            }
        });
        let text = |name: &str| std::env::var(name).ok();
        let is_meant = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = text("WATCHDOG_USEC").filter(|_| is_meant).and_then(|n| n.parse().ok());
        let patience = micros.filter(|micros| *micros > 0).map(Duration::from_micros);
        Supervisor { socket, patience }
    }

    /// The engine takes mail.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=takes mail");
    }

    /// It loads its policy anew; [`Supervisor::ready`] ends that.
    pub fn reloading(&self) {
        let now = ringmta_io::mono_nanos() / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=loads the policy anew"));
    }

    /// It is about to stop.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=stops");
    }

    fn say(&self, state: &str) {
        // Who does not listen is no reason to stop taking mail.
        let sent = self.socket.as_ref().map(|socket| socket.send(state.as_bytes()));
        if let Some(Err(error)) = sent {
            tracing::warn!("the service manager hears nothing: {error}");
        }
    }

    /// Starts the thread that reports to the watchdog for as long as every shard answers, where there is one.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn watch(&self, process: &Arc<Process>) -> Result<(), String> {
        let (Some(socket), Some(patience)) = (&self.socket, self.patience) else { return Ok(()) };
        let failed = |error: io::Error| format!("watchdog: {error}");
        let (socket, process) = (socket.try_clone().map_err(failed)?, process.clone());
        let pause = patience / limits::WATCHDOG_TIMES;
        let watch = move || loop {
            // Well within its patience, also when an answer takes its time.
            let end = Instant::now() + pause;
            match silent(&process, end) {
                0 => drop(socket.send(b"WATCHDOG=1")),
                some => tracing::error!("watchdog: {some} shards do not answer"),
            }
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
        };
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        thread.map(drop).map_err(failed)
    }
}

/// How many shards have not said by `end` that they are alive.
fn silent(process: &Process, end: Instant) -> usize {
    let (sender, answers) = mpsc::channel();
    for inbox in &process.inboxes {
        // A box that is full is that of a shard that does not read it: it will not answer.
        drop(inbox.send(Letter::Alive(sender.clone())));
    }
    let left = || end.saturating_duration_since(Instant::now());
    let heard = process.inboxes.iter().filter(|_| answers.recv_timeout(left()).is_ok()).count();
    process.inboxes.len() - heard
}

/// A path, or a name in the abstract namespace when it begins with `@`.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_names_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("ringmta-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let heard =
            [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&address).unwrap()];
        let names = [path.into_os_string(), format!("@{abstract_name}").into()];
        for (socket, name) in heard.iter().zip(&names) {
            let supervisor = Supervisor { socket: Some(connect(name).unwrap()), patience: None };
            supervisor.stopping();
            let mut text = [0; 64];
            let length = socket.recv(&mut text).unwrap();
            assert!(text[..length].starts_with(b"STOPPING=1\n"), "{name:?}");
        }
        assert!(connect(OsStr::new("/nowhere/notify")).is_err());
    }
}

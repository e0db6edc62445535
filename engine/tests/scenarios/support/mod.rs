//! What the scenario tests share: an engine as a process of its own, a client that speaks any
//! SMTP it is told to, a next hop that behaves as told, and a receiver of webhooks.
//!
//! Nothing here waits for a fixed time: [`wait`] polls for a condition until far beyond what it
//! takes on the slowest machine. Every port is picked by the system, every process is killed when
//! its handle goes.
#![allow(dead_code, unused_imports)]

pub mod dns;
pub mod engine;
pub mod http;
pub mod mail;
pub mod odd_tls;
pub mod sink;
pub mod smtp;
pub mod tls;
pub mod web;

pub use engine::{Engine, Site};
pub use http::{Answer, Receiver};
pub use mail::{corpus, message, without_trace};
pub use sink::{Phase, Received, Sink};
pub use smtp::Smtp;
pub use web::Web;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes: a test that reaches it has hung.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Polls until `condition` holds.
pub fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    wait_some(what, || condition().then_some(()));
}

/// Polls until `look` finds something.
pub fn wait_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Listens on `addr`. A port that was just given up may be held a moment longer, by a child that
/// another test is starting.
pub fn listen(addr: SocketAddr) -> TcpListener {
    wait_some(&format!("port {addr}"), || TcpListener::bind(addr).ok())
}

/// Whether the tests run as root; a test that needs that says so and ends.
pub fn is_root() -> bool {
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

/// The program called `name`, where a package brings it; a test that needs it says so and ends.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: there is no `{name}` on this machine");
    }
    found
}

//! Looks at the policy's files from time to time; a change has them loaded anew, as SIGHUP does. So it does at the
//! certificates of listeners.

use crate::limits::{MONITOR_MS, MONITOR_SETTLE_MS, MONITOR_SETTLE_TRIES};
use crate::start::Engine;
use ringmta_policy::monitor::{default_globs, fingerprint};
use ringmta_shard::certificates;
use ringmta_shard::mesh::Letter;
use ringmta_shard::process::Process;
use signal_hook::consts::SIGHUP;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::{sleep, Builder};
use std::time::Duration;

/// The files as they were before the policy was loaded.
pub struct Monitor {
    globs: Vec<String>,
    before: Result<u64, String>,
}

impl Monitor {
    /// Looks at what lies beside the policy file. To be called before it is loaded, so that no change
    /// falls between.
    pub fn new(policy: &Path) -> Monitor {
        let globs = default_globs(policy);
        let before = fingerprint(&globs);
        Monitor { globs, before }
    }

    /// Watches from a thread of its own until the process ends; the certificates of listeners too.
    pub fn start(self, engine: &Engine) {
        let process = engine.process.clone();
        let Monitor { globs, before } = match &process.init.monitor_globs {
            None => self,
            Some(globs) => Monitor { globs: globs.clone(), before: fingerprint(globs) },
        };
        let files = certificates::files(&process);
        if globs.is_empty() && files.is_empty() {
            return;
        }
        let watch = move || {
            let mut loaded = before;
            // They may have changed since the start has read them: they are looked at once in any case.
            let mut seen = None;
            loop {
                sleep(Duration::from_millis(MONITOR_MS));
                if !globs.is_empty() {
                    look(&globs, &mut loaded);
                }
                if !files.is_empty() {
                    look_at_certificates(&files, &mut seen, &process);
                }
            }
        };
        if let Err(error) = Builder::new().name("monitor".into()).spawn(watch) {
            tracing::warn!("the files of policy and certificates are not watched: {error}");
        }
    }
}

fn look(globs: &[String], loaded: &mut Result<u64, String>) {
    let now = fingerprint(globs);
    if now == *loaded {
        return;
    }
    *loaded = settled(now, || fingerprint(globs));
    match loaded {
        Ok(_) => {
            tracing::info!("the policy's files have changed");
            // Whoever waits for signals has taken them over before.
            let _ = signal_hook::low_level::raise(SIGHUP);
        }
        Err(why) => tracing::warn!("the policy's files cannot be watched: {why}"),
    }
}

fn look_at_certificates(files: &[PathBuf], seen: &mut Option<u64>, process: &Process) {
    let now = Some(mark(files));
    if now == *seen {
        return;
    }
    let now = settled(now, || Some(mark(files)));
    // A full letter box has room at the next look.
    if process.inboxes[0].send(Letter::Certificates).is_ok() {
        *seen = now;
    }
}

/// A number that changes when one of the files does, or what a link on the way to it points to.
fn mark(files: &[PathBuf]) -> u64 {
    let mut hash = DefaultHasher::new();
    for file in files {
        let data = std::fs::metadata(file).ok();
        data.map(|data| (data.ino(), data.len(), data.modified().ok())).hash(&mut hash);
    }
    hash.finish()
}

/// Whoever writes is given the time to finish.
fn settled<T: PartialEq>(mut seen: T, look: impl Fn() -> T) -> T {
    for _ in 0..MONITOR_SETTLE_TRIES {
        sleep(Duration::from_millis(MONITOR_SETTLE_MS));
        let now = look();
        if now == seen {
            break;
        }
        seen = now;
    }
    seen
}

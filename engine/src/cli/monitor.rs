//! Looks at the policy's files from time to time; a change has them loaded anew, as SIGHUP does.

use crate::limits::{MONITOR_MS, MONITOR_SETTLE_MS, MONITOR_SETTLE_TRIES};
use crate::start::Engine;
use ringmta_policy::monitor::{default_globs, fingerprint};
use signal_hook::consts::SIGHUP;
use std::path::Path;
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

    /// Watches from a thread of its own until the process ends.
    pub fn start(self, engine: &Engine) {
        let Monitor { globs, before } = match &engine.process.init.monitor_globs {
            None => self,
            Some(globs) => Monitor { globs: globs.clone(), before: fingerprint(globs) },
        };
        if globs.is_empty() {
            return;
        }
        let watch = move || watch(&globs, before);
        if let Err(error) = Builder::new().name("monitor".into()).spawn(watch) {
            tracing::warn!("the policy's files are not watched: {error}");
        }
    }
}

fn watch(globs: &[String], mut loaded: Result<u64, String>) {
    loop {
        sleep(Duration::from_millis(MONITOR_MS));
        let now = fingerprint(globs);
        if now == loaded {
            continue;
        }
        loaded = settled(globs, now);
        match &loaded {
            Ok(_) => {
                tracing::info!("the policy's files have changed");
                // Whoever waits for signals has taken them over before.
                let _ = signal_hook::low_level::raise(SIGHUP);
            }
            Err(why) => tracing::warn!("the policy's files cannot be watched: {why}"),
        }
    }
}

/// Whoever writes is given the time to finish.
fn settled(globs: &[String], mut seen: Result<u64, String>) -> Result<u64, String> {
    for _ in 0..MONITOR_SETTLE_TRIES {
        sleep(Duration::from_millis(MONITOR_SETTLE_MS));
        let now = fingerprint(globs);
        if now == seen {
            break;
        }
        seen = now;
    }
    seen
}

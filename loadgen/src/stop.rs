//! The stop flag that SIGINT and SIGTERM raise. A second signal ends the process at once.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Exit status after a second signal, as a shell reports a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Whether the run is to end; shared by all threads.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that SIGINT and SIGTERM raise.
    ///
    /// # Errors
    /// When the system refuses the signal handler.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, Arc::clone(&stop.0))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.0)))
                .context("cannot install a signal handler")?;
        }
        Ok(stop)
    }

    /// Ends the run.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the run is to end.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

//! Helper threads for what blocks: requests to other servers, pictures, long messages. Each piece of work has one to itself, so that one that
//! waits for a server holds up no other; there are only so many at a time.

use crate::limits::{SANDBOX_BESIDE_BYTES, SANDBOX_HELPER_LOOK_MS, SANDBOX_HELPER_WAIT_SECS};
use futures::channel::oneshot;
use ringmta_io as io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Whether work on so many bytes is done beside the shard.
pub fn is_long(bytes: usize) -> bool {
    bytes > SANDBOX_BESIDE_BYTES
}

/// So many threads, and how many are busy. Cheap to copy.
#[derive(Clone)]
pub struct Helpers {
    busy: Arc<AtomicUsize>,
    limit: usize,
    /// Longest that work waits for a thread; for ever without one.
    patience: Option<Duration>,
}

impl Helpers {
    /// So many at a time.
    pub fn new(limit: usize) -> Helpers {
        let patience = Some(Duration::from_secs(SANDBOX_HELPER_WAIT_SECS));
        Helpers { busy: Arc::default(), limit, patience }
    }

    /// The same, where work waits until there is a thread: for those whose number is bounded elsewhere.
    pub fn patient(limit: usize) -> Helpers {
        Helpers { patience: None, ..Helpers::new(limit) }
    }

    /// Runs `work` on a thread of its own, which ends it even if nobody waits for it any more. Waits while all are busy.
    ///
    /// # Errors
    /// When they are busy for too long, or the work has panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let busy = self.enter().await?;
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("inbox helper".into());
        let work = move || {
            let _busy = busy;
            // Whoever asked may have gone.
            let _ = tell.send(work());
        };
        thread.spawn(work).map_err(|error| format!("no thread for it: {error}"))?;
        told.await.map_err(|_| "it was broken off".to_string())
    }

    async fn enter(&self) -> Result<Busy, String> {
        let start = io::mono_nanos();
        while self.busy.load(Ordering::Relaxed) >= self.limit {
            let waited = Duration::from_nanos(io::mono_nanos() - start);
            if self.patience.is_some_and(|patience| waited > patience) {
                return Err("too much is being done at the moment; try again".into());
            }
            io::sleep(Duration::from_millis(SANDBOX_HELPER_LOOK_MS)).await;
        }
        // Only this shard enters, so nobody was quicker.
        self.busy.fetch_add(1, Ordering::Relaxed);
        Ok(Busy(self.busy.clone()))
    }
}

/// Counts as busy until dropped.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

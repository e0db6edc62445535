//! Helper threads for what blocks: requests to other servers, pictures. Each piece of work has one to itself, so that one that
//! waits for a server holds up no other; there are only so many at a time.

use crate::limits::SANDBOX_HELPERS;
use futures::channel::oneshot;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// How many are busy. Cheap to copy.
#[derive(Clone, Default)]
pub struct Helpers(Arc<AtomicUsize>);

impl Helpers {
    /// Runs `work` on a thread of its own, which ends it even if nobody waits for it any more.
    ///
    /// # Errors
    /// When too many are busy, or the work has panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let busy = Busy(self.0.clone());
        if busy.0.fetch_add(1, Ordering::Relaxed) >= SANDBOX_HELPERS {
            return Err("too much is being done at the moment; try again".into());
        }
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
}

/// Counts as busy until dropped.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

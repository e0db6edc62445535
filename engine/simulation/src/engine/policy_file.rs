//! The policy of a run.

use futures::executor::block_on;
use ringmta::start::StartHost;
use ringmta_policy::{InitConfig, Mode, Policy, Shared};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The policy of a run, as a file: policies are files. It goes with the run.
pub struct PolicyFile(pub PathBuf);

impl PolicyFile {
    /// Writes `text` where no other run writes.
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(text: &str) -> Result<PolicyFile, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Equally long for all: what fails in a policy names the file, and a longer text is another story.
        let name = format!("ringmta-simulation-{:010}-{number:010}.lua", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = PolicyFile(path);
        std::fs::write(&file.0, text).map_err(|e| format!("{}: {e}", file.0.display()))?;
        Ok(file)
    }

    /// What its `init` asks for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn init(&self) -> Result<InitConfig, String> {
        let said = |error: ringmta_policy::PolicyError| error.to_string();
        let policy = Policy::load(&self.0, Shared::new(1), Rc::new(StartHost), Mode::Run);
        let mut init = block_on(policy.map_err(said)?.run_init()).map_err(said)?;
        // Nobody is asked: hosts are addresses. But no file of this machine is read either.
        init.name_servers = vec![SocketAddr::from(([10, 9, 9, 9], 53))];
        Ok(init)
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        // Left behind, it would be litter in a temporary folder, no more.
        let _ = std::fs::remove_file(&self.0);
    }
}

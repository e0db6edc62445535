//! What a run that failed says.

use crate::options::Kind;
use ringmta_io::sim::planted::Bug;

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was simulated.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub what: String,
    /// The mistake that was planted.
    pub planted: Option<Bug>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure { kind, seed, what, planted } = self;
        let kind = kind.name();
        writeln!(f, "{kind} seed {seed}: {what}")?;
        let feature = if planted.is_some() { "--features planted-bugs " } else { "" };
        write!(
            f,
            "replay: cargo run --release -p ringmta-ci {feature}--bin simulate -- \
             --kind {kind} --from {seed} --seeds 1 --verbose"
        )?;
        match planted {
            Some(bug) => write!(f, " --plant {}", bug.name()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

//! What a run that failed says.

use super::Kind;

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was simulated.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure { kind, seed, what } = self;
        let kind = kind.name();
        writeln!(f, "{kind} seed {seed}: {what}")?;
        write!(
            f,
            "replay: cargo run --release -p ringmta-ci --bin simulate -- \
             --kind {kind} --from {seed} --seeds 1 --verbose"
        )
    }
}

impl std::error::Error for Failure {}

//! Runs one seed of any kind.

use crate::failure::Failure;
use crate::options::{Kind, Options, Summary};
use crate::{engine, spool};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs one seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(kind: Kind, seed: u64, options: Options) -> Result<Summary, Failure> {
    let result = catch_unwind(AssertUnwindSafe(|| match kind {
        Kind::Spool => spool::run::run(seed, options),
        Kind::Damage => spool::damage::run(seed, options),
        Kind::Engine => engine::run::run(seed, options),
    }));
    let result = result.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    result.map_err(|what| Failure { kind, seed, what, planted: options.planted })
}

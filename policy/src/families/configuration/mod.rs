//! What a policy configures: objects, start-up calls, tuning.

pub(crate) mod configs;
pub(crate) mod constructors;
pub(crate) mod tuning;

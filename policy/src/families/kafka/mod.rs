//! `kumo.kafka`: records sent with confirmation.

#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
pub(crate) mod lua;
pub(crate) mod record;
#[cfg(all(test, feature = "kafka"))]
mod tests;

//! `kumo.dkim`: signatures (RFC 6376).

pub(crate) mod body_hash;
pub(crate) mod lua;
pub(crate) mod signer;

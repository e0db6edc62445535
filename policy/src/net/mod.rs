//! Connections of the clients that a policy uses: [`trust`] (which certificates are believed), [`wire`] (blocking connections whose
//! every wait has a deadline), [`connection_slots`] (connections kept for reuse).

pub(crate) mod connection_slots;
pub mod trust;
pub(crate) mod wire;

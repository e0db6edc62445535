//! `kumo.mimepart`: messages as trees, and reports made of records.

pub(crate) mod delivery_status;
mod header_map;
pub(crate) mod lua;

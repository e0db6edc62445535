//! The policy host.

//! The command line.
//!
//! Layout: [`args`] what may be written · [`run`] the daemon · [`dev`] everything on one machine ·
//! [`validate`] a policy checked · [`ctl`] operator commands over the HTTP API · [`spool`] a spool
//! looked at without an engine.

pub mod args;
pub mod ctl;
pub mod dev;
pub mod run;
pub mod spool;
pub mod validate;

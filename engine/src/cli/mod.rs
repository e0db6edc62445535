//! The command line.
//!
//! Layout: [`args`] what may be written · [`run`] the daemon · [`dev`] everything on one machine ·
//! [`monitor`] the policy's files watched ·
//! [`validate`] a policy checked · [`prove`] its own tests · [`script`] a policy as a program ·
//! [`ctl`] operator commands over the HTTP API · [`spool`] a spool looked at without an engine.

pub mod args;
pub mod ctl;
pub mod dev;
pub mod monitor;
pub mod prove;
pub mod run;
pub mod script;
pub mod spool;
pub mod validate;

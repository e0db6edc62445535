//! The command line.
//!
//! Layout: [`args`] what may be written · [`run`] the daemon · [`dev`] everything on one machine ·
//! [`monitor`] the policy's files watched ·
//! [`validate`] a policy checked · [`prove`] its own tests · [`script`] a policy as a program ·
//! [`ctl`] operator commands over the HTTP API · [`hooks`] dead letters sent again · [`spool`] a spool looked at without an engine.

/// Prints a line. Whoever reads it may have gone, as `head` does: then nothing is said any more, and the exit code
/// stays what it would be.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// The same without the end of the line.
macro_rules! say_on {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

pub mod args;
pub mod ctl;
pub mod dev;
pub mod hooks;
pub mod monitor;
pub mod prove;
pub mod run;
pub mod script;
pub mod spool;
pub mod validate;

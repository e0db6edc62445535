//! The command line.
//!
//! Layout: [`args`] what may be written · [`run`] the daemon · [`dev`] everything on one machine, [`inbox`] what its inbox is told ·
//! [`monitor`] the policy's files watched ·
//! [`validate`] a policy checked · [`prove`] its own tests · [`script`] a policy as a program ·
//! [`ctl`] operator commands over the HTTP API · [`hooks`] dead letters sent again · [`spool`] a spool looked at without an engine
//! · [`check`] the machine looked at · [`init`] a tree to start from, [`tree`] the one shipped · [`healthcheck`] one question of a
//! container engine · [`supervisor`] what a service manager is told · [`print`] completions and manual pages.

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

/// Says a line on stderr. The journal or the pipe behind it may have gone: an engine that stops cleanly may not end in a
/// panic for that.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub mod args;
pub mod check;
pub mod ctl;
pub mod dev;
pub mod healthcheck;
pub mod hooks;
pub mod inbox;
pub mod init;
pub mod monitor;
pub mod print;
pub mod prove;
pub mod run;
pub mod script;
pub mod spool;
pub mod supervisor;
pub mod tree;
pub mod validate;

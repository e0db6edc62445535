//! How a connection to a next hop breaks.

use std::time::Duration;

/// A failure of the connection itself; its words end up in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The peer has gone, or the network failed.
    Lost(String),
    /// The peer is there but did not do its part in time.
    Late(String),
    /// The peer does not speak SMTP, or said it is closing.
    Wrong(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Lost(why) | Broken::Late(why) | Broken::Wrong(why) => f.write_str(why),
        }
    }
}

impl Broken {
    /// As records tell it when the answer to `command`, given as `cmd=EHLO x`, was waited for, in the reference's words.
    pub fn words(&self, limit: Duration, command: &str) -> String {
        match self {
            Broken::Lost(what) => format!("Error {what} reading response to {command}"),
            Broken::Late(_) => format!("Timed Out waiting {limit:?} for response to {command}"),
            Broken::Wrong(what) => format!("Malformed Response: {what}"),
        }
    }
}

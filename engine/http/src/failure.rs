//! Why a request of ours got no answer.

use std::io;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The time that the request was given is over.
    TimedOut,
    /// The request cannot be sent: what is wrong with it.
    Bad(&'static str),
    /// No connection, or it broke.
    Io(io::Error),
    /// The request, or the answer, is none of HTTP/1.1.
    Http(ureq_proto::Error),
    /// The answer is longer than it may be: bytes.
    TooLong(usize),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::TimedOut => out.write_str("timed out"),
            Failure::Bad(what) => out.write_str(what),
            Failure::Io(error) => error.fmt(out),
            Failure::Http(error) => error.fmt(out),
            Failure::TooLong(most) => write!(out, "the answer is longer than {most} bytes"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<ureq_proto::Error> for Failure {
    fn from(error: ureq_proto::Error) -> Failure {
        Failure::Http(error)
    }
}

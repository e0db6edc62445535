//! Why a message could not be made durable.

/// Why a message could not be made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The disk has no room for it.
    Full,
    /// The disk failed; the text says how.
    Disk(String),
    /// The record would not fit a segment.
    TooLarge,
    /// The shard is stopping.
    Stopping,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Full => f.write_str("disk full"),
            StoreError::Disk(reason) => write!(f, "disk failed: {reason}"),
            StoreError::TooLarge => f.write_str("message too large for the spool"),
            StoreError::Stopping => f.write_str("stopping"),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => StoreError::Full,
            _ => StoreError::Disk(error.to_string()),
        }
    }
}

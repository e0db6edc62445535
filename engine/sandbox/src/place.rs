//! Where an inbox listens: an address, or a Unix socket by the file that stands for it.

use crate::limits::{SANDBOX_SOCKET_ASK_MS, SANDBOX_SOCKET_FREE_MS};
use ringmta_io::listener::BoundSocket;
use ringmta_io::sockets::is_taken;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A file, and the permissions it has: whoever may write to it may connect.
    Unix(PathBuf, u32),
}

/// Waits for a while where somebody listens still: the socket of an inbox that was killed a moment ago goes only when the
/// kernel has taken its rings down.
fn bind_unix(path: &Path, mode: u32) -> io::Result<BoundSocket> {
    let end = Instant::now() + Duration::from_millis(SANDBOX_SOCKET_FREE_MS);
    loop {
        match BoundSocket::bind_unix(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(SANDBOX_SOCKET_ASK_MS));
            }
            other => return other,
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Place {
        Place::Tcp(address)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Unix(path, _) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Place {
    /// The same place with the port that was bound.
    pub fn bound(&self, address: SocketAddr) -> Place {
        match self {
            Place::Tcp(_) => Place::Tcp(address),
            unix => unix.clone(),
        }
    }

    /// Binds it, and refuses an address where someone listens already: our sockets share ports among shards, so the system
    /// would let two sandboxes share one and give each of them half of the mail.
    ///
    /// # Errors
    /// The text names what it is for, and the cure.
    pub fn bind(&self, what: &str) -> io::Result<BoundSocket> {
        let bound = match self {
            Place::Tcp(address) if address.port() != 0 && is_taken(*address) => {
                Err(io::Error::from(io::ErrorKind::AddrInUse))
            }
            Place::Tcp(address) => BoundSocket::bind(*address),
            Place::Unix(path, mode) => bind_unix(path, *mode),
        };
        bound.map_err(|error| {
            let cure = self.cure(error.kind());
            io::Error::new(error.kind(), format!("{what} cannot listen on {self}: {error}; {cure}"))
        })
    }

    fn cure(&self, kind: io::ErrorKind) -> &'static str {
        match (self, kind) {
            (Place::Tcp(_), io::ErrorKind::AddrInUse) => {
                "stop what listens there, or choose another port"
            }
            (Place::Tcp(_), io::ErrorKind::PermissionDenied) => {
                "choose a port above 1023, or start as root"
            }
            (Place::Tcp(_), io::ErrorKind::AddrNotAvailable) => "choose an address of this machine",
            (Place::Tcp(_), _) => "choose another address",
            (Place::Unix(..), io::ErrorKind::AddrInUse) => {
                "stop what listens there, or choose another path"
            }
            (Place::Unix(..), io::ErrorKind::NotFound) => "make its folder",
            (Place::Unix(..), _) => "choose another path",
        }
    }

    /// Takes the file of a Unix socket away.
    pub fn leave(&self) {
        if let Place::Unix(path, _) = self {
            // It may be gone already; what is left behind gives way at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

//! The addresses of the listeners: which they are, whether they are free, and the sockets that are bound to them before the
//! right to bind low ports goes.

use crate::inherited::Inherited;
use crate::limits;
use crate::listener::BoundSocket;
use crate::privileges::Binder;
use crate::{Listener, ReservedPort};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// The sockets of one shard's listeners: ESMTP before HTTP, in the order they are configured in. In a simulated world there are none:
/// a listener is bound as it is opened.
#[derive(Default)]
pub struct Sockets(VecDeque<BoundSocket>);

impl Sockets {
    /// Opens the next listener, which is at `listen`.
    ///
    /// # Errors
    /// One line that names cause and cure.
    pub fn open(&mut self, listen: &str) -> Result<(Listener, SocketAddr), String> {
        let addr: SocketAddr = listen.parse().map_err(|error| format!("{listen}: {error}"))?;
        let opened = match self.0.pop_front() {
            Some(socket) => Listener::open(socket),
            None => Listener::bind(addr),
        };
        let listener = opened.map_err(|error| cannot_listen(addr, &error))?;
        let local = listener.local_addr().map_err(|error| cannot_listen(addr, &error))?;
        Ok((listener, local))
    }
}

/// Binds the sockets of every listener, at `listens`, for every one of `shards`, but for those that were handed down.
///
/// # Errors
/// One line that names cause and cure.
pub fn bind_all<'a>(
    binder: Binder,
    inherited: &Inherited,
    listens: impl Iterator<Item = &'a String>,
    shards: usize,
) -> Result<Vec<Sockets>, String> {
    let parse = |listen: &String| listen.parse().map_err(|error| format!("{listen}: {error}"));
    let addrs = listens.map(parse).collect::<Result<Vec<SocketAddr>, String>>()?;
    tell_unused(inherited, &addrs);
    let of_shards = (0..shards).flat_map(|shard| addrs.iter().map(move |addr| (shard, *addr)));
    let to_bind = of_shards.clone().map(|(_, addr)| addr).filter(|addr| !inherited.holds(*addr));
    let bound = binder.bind(to_bind.collect()).map_err(|error| format!("listeners: {error}"))?;
    let mut bound = bound.into_iter();
    let none = || Err(std::io::Error::other("it was not bound"));
    let mut sockets = of_shards.map(|(shard, addr)| {
        let socket = inherited.socket(addr, shard).or_else(|| bound.next()).unwrap_or_else(none);
        socket.map_err(|error| cannot_listen(addr, &error))
    });
    let mut of_shard = || sockets.by_ref().take(addrs.len()).collect::<Result<_, _>>();
    (0..shards).map(|_| of_shard().map(Sockets)).collect()
}

/// Who connects to a socket that nobody accepts from waits for ever, and no log would say why.
fn tell_unused(inherited: &Inherited, addrs: &[SocketAddr]) {
    for addr in inherited.addrs().filter(|addr| !addrs.contains(addr)) {
        tracing::warn!(
            "the service manager holds a socket at {addr}, where the policy has no listener: name the same address in both"
        );
    }
}

/// Settles which port 0 becomes, and refuses an address where someone listens: our shards share
/// theirs, so the system would let two engines share one and give each a part of the mail. Gives the
/// ports chosen, to be kept.
///
/// # Errors
/// One line that names cause and cure.
pub fn resolve_ports<'a>(
    inherited: &Inherited,
    listens: impl Iterator<Item = (SocketAddr, &'a mut String)>,
) -> Result<Vec<ReservedPort>, String> {
    let mut chosen = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (addr, listen) in listens {
        *listen = addr.to_string();
        // The system would let the two share it, and a client would reach one or the other.
        if addr.port() != 0 && !seen.insert(addr) {
            return Err(format!("cannot listen on {addr}: the policy has two listeners there"));
        }
        if addr.port() == 0 {
            let failed = |error: std::io::Error| cannot_listen(addr, &error);
            let port = ReservedPort::choose(addr).map_err(failed)?;
            *listen = port.addr().map_err(failed)?.to_string();
            chosen.push(port);
        } else if !inherited.holds(addr) && is_taken(addr) {
            if let Some(held) = inherited.addrs().find(|held| held.port() == addr.port()) {
                return Err(format!(
                    "cannot listen on {addr}: the service manager holds {held}; name the same address in both"
                ));
            }
            return Err(cannot_listen(addr, &std::io::ErrorKind::AddrInUse.into()));
        }
    }
    Ok(chosen)
}

/// Whether someone goes on listening there. The sockets of an engine that was killed a moment ago go
/// only when the kernel has taken its rings down.
pub fn is_taken(addr: SocketAddr) -> bool {
    let end = std::time::Instant::now() + Duration::from_millis(limits::PORT_FREE_MS);
    while someone_listens(addr) {
        if std::time::Instant::now() >= end {
            return true;
        }
        std::thread::sleep(Duration::from_millis(limits::PORT_ASK_MS));
    }
    false
}

/// Asked by connecting, not by binding: a bind is also refused for a minute after a stop, by the
/// connections in TIME_WAIT.
fn someone_listens(addr: SocketAddr) -> bool {
    let mut target = addr;
    if addr.ip().is_unspecified() {
        target.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    std::net::TcpStream::connect_timeout(&target, Duration::from_millis(300)).is_ok()
}

/// One line on why an address cannot be had.
pub fn cannot_listen(addr: SocketAddr, error: &std::io::Error) -> String {
    let cure = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("another program has port {}: stop it or choose another port", addr.port())
        }
        std::io::ErrorKind::PermissionDenied => format!(
            "port {} is privileged: start as root with --user, or give the binary \
             CAP_NET_BIND_SERVICE",
            addr.port()
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this host", addr.ip())
        }
        _ => "check the address".into(),
    };
    format!("cannot listen on {addr}: {error}; {cure}")
}

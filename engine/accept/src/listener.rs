//! ESMTP listeners: each shard has its own socket on the same address, and a shard with clearly
//! more sessions than another hands new ones over.

use crate::farewell::turn_away;
use crate::limits::ACCEPT_IMBALANCE_MAX;
use crate::serve;
use ringmta_io::sockets::Sockets;
use ringmta_io::stream::Accepted;
use ringmta_io::{self as io, Conn, Listener};
use ringmta_shard::mesh::Letter;
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Opens this shard's socket of every listener. The answer is one line per socket.
///
/// # Errors
/// A text naming the address and the cause.
pub fn open_all(shard: &Rc<Shard>, sockets: &mut Sockets) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for (index, options) in shard.process.init.esmtp_listeners.iter().enumerate() {
        let (listener, local) = sockets.open(&options.listen)?;
        lines.push(format!("smtp listener on {local}"));
        io::spawn(accept_loop(shard.clone(), index, listener));
    }
    Ok(lines)
}

async fn accept_loop(shard: Rc<Shard>, index: usize, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(socket) => place(&shard, socket, index),
            Err(error) => {
                // Usually too many open files: what is open goes on, new ones wait in the kernel.
                tracing::error!("accept: {error}");
                io::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Keeps a fresh socket, or hands it to a shard with clearly fewer sessions.
fn place(shard: &Rc<Shard>, socket: Accepted, listener: usize) {
    let mine = shard.process.sessions[shard.index].load(Ordering::Relaxed);
    if mine > ACCEPT_IMBALANCE_MAX {
        let (other, sessions) = shard.process.emptiest_shard();
        if other != shard.index && mine > sessions + ACCEPT_IMBALANCE_MAX {
            let letter = Letter::Socket { socket, listener };
            return match shard.process.inboxes[other].send(letter) {
                Ok(()) => {}
                Err(Letter::Socket { socket, listener }) => serve_socket(shard, socket, listener),
                Err(_) => {}
            };
        }
    }
    serve_socket(shard, socket, listener);
}

/// Serves a socket on this shard.
pub fn serve_socket(shard: &Rc<Shard>, socket: Accepted, listener: usize) {
    let stream = socket.bind();
    // A client that is gone again has no address.
    let Ok(peer) = stream.peer_addr() else { return };
    let process = &shard.process;
    let open = process.listener_sessions[listener].load(Ordering::Relaxed);
    let most = process.init.esmtp_listeners[listener].max_connections as u64;
    if open >= most || shard.context.stopping.get() {
        shard.metrics.sessions_denied.inc();
        let refusal = if open >= most { Refusal::TooManyConnections } else { Refusal::Stopping };
        return io::spawn(turn_away(Conn::Plain(stream), refusal));
    }
    shard.session_count(listener, 1);
    let shard = shard.clone();
    io::spawn(async move {
        serve::serve(shard.clone(), listener, stream, peer).await;
        shard.session_count(listener, -1);
    });
}

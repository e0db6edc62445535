//! The accept loop of a small listener: every connection lives inside the loop's future.

use crate::limits;
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, Stream, StreamExt};
use ringmta_io::{self as io, Listener, Stream as Socket};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Accepts for ever; `serve` makes the future of each connection and is told whether `limit`
/// connections are open already, in which case it is to refuse. Dropping the future closes the
/// listener and every connection.
pub async fn accept_each(
    listener: Listener,
    limit: usize,
    serve: impl Fn(Socket, SocketAddr, bool) -> LocalBoxFuture<'static, ()>,
) {
    // The pending accept outlives every turn of the loop: an accept that is dropped half-way may
    // take a connection with it.
    let accepts = futures::stream::unfold(listener, |listener| async move {
        Some((listener.accept().await, listener))
    });
    let mut accepts = pin!(accepts);
    let mut open: FuturesUnordered<LocalBoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        let accepted = poll_fn(|cx| {
            while let Poll::Ready(Some(())) = open.poll_next_unpin(cx) {}
            accepts.as_mut().poll_next(cx)
        });
        match accepted.await {
            Some(Ok(accepted)) => {
                let socket = accepted.bind();
                if let Ok(peer) = socket.peer_addr() {
                    socket.set_nodelay();
                    open.push(serve(socket, peer, open.len() >= limit));
                }
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "accept failed");
                io::sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MS)).await;
            }
            None => return,
        }
    }
}

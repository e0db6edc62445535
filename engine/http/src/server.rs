//! A listener whose connections are served.

use crate::acceptor::accept_each;
use crate::driver::{self, serve_with};
use crate::gate::{open_gate, Doorkeeper, Gate};
use crate::options::Options;
use crate::types::{Request, Response};
use futures::future::LocalBoxFuture;
use ringmta_io::{self as io, Conn, Listener};
use std::net::SocketAddr;
use std::rc::Rc;

/// Accepts connections for ever and serves each with a handler of its own. Dropping the future
/// closes the listener and every connection.
pub async fn listen<M, H>(listener: Listener, options: Options, make_handler: M)
where
    M: Fn(SocketAddr) -> H,
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    listen_behind(listener, options, open_gate(), make_handler).await;
}

/// The same; `gate` decides who may ask.
pub async fn listen_behind<M, H>(listener: Listener, options: Options, gate: Gate, make_handler: M)
where
    M: Fn(SocketAddr) -> H,
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    let keeper = Doorkeeper { admits: None, handshaken: None, gate };
    listen_within(listener, options, keeper, make_handler).await;
}

/// The same; `keeper` decides who may connect and ask.
pub async fn listen_within<M, H>(
    listener: Listener,
    options: Options,
    keeper: Doorkeeper,
    make_handler: M,
) where
    M: Fn(SocketAddr) -> H,
    H: Fn(Request) -> LocalBoxFuture<'static, Response> + 'static,
{
    let options = Rc::new(options);
    let Doorkeeper { admits, handshaken, gate } = keeper;
    accept_each(listener, options.connections, |stream, peer, full| {
        if full {
            return Box::pin(driver::refuse(Conn::Plain(stream)));
        }
        let admitted = admits.as_ref().map(|admits| admits(peer.ip())).transpose();
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(why) => {
                return Box::pin(async move {
                    driver::refuse_peer(Conn::Plain(stream), &why).await;
                })
            }
        };
        let (handler, options, gate) = (make_handler(peer), options.clone(), gate.clone());
        let handshaken = handshaken.clone();
        Box::pin(async move {
            let conn = match &options.tls {
                None => Conn::Plain(stream),
                Some(tls) => {
                    let began = io::mono_nanos();
                    let accepted = io::tls::accept(stream, tls.config()).await;
                    if let Some(handshaken) = handshaken {
                        handshaken(accepted.is_ok(), (io::mono_nanos() - began) / 1000);
                    }
                    match accepted {
                        Ok(conn) => conn,
                        Err(_) => return,
                    }
                }
            };
            serve_with(conn, peer, &options, gate, handler).await;
            drop(admitted);
        })
    })
    .await;
}

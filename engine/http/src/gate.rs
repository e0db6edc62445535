//! Who may ask a server.

use crate::browser;
use crate::types::{Request, Response};
use futures::future::LocalBoxFuture;
use std::any::Any;
use std::net::IpAddr;
use std::rc::Rc;

/// Looks at a request whose body has not been read, and gives it back, with its caller where that is known, or refuses it.
pub type Gate = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Result<Request, Response>>>;

/// Counts a connection of this peer in, until what it gives is dropped.
///
/// # Errors
/// Why it may not have this one: a line of text for it, answered 429.
pub type Admits = Rc<dyn Fn(IpAddr) -> Result<Box<dyn Any>, String>>;

/// Is told of each TLS handshake: whether it came to a good end, and the microseconds it took.
pub type Handshaken = Rc<dyn Fn(bool, u64)>;

/// Who decides about the connections of a listener, and who hears of them.
pub struct Doorkeeper {
    /// Who may connect; everyone where it is not there.
    pub admits: Option<Admits>,
    /// Hears of TLS handshakes.
    pub handshaken: Option<Handshaken>,
    /// Who may ask.
    pub gate: Gate,
}

/// Lets anyone ask but pages of other sites.
pub fn open_gate() -> Gate {
    Rc::new(|request| {
        let passed = browser::check(&request).map(|()| request);
        Box::pin(std::future::ready(passed))
    })
}

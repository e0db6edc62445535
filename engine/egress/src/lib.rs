//! Mail goes out: from a ready queue to the next hop.
//!
//! - [`stage`] what this stage has · [`start`] its tasks
//! - [`routing`] where the mail of a queue goes · [`resolve`], [`questions`], [`dns_cache`] DNS · [`hosts`] of a file · [`mta_sts`] what a
//!   domain demands of its hosts
//! - [`dispatch`] the one place that decides that a connection is opened · [`connect`] to which host · [`client_tls`], [`key_source`], [`proxy`], [`wire`] over what ·
//!   [`words`] why not · [`timed`] how long it took, [`claimed`] for whom
//! - [`next`] the next message of a connection · [`session`] its transactions · [`lua`] mail that a policy's own connection
//!   takes · [`maildir`] mail for folders of this host · [`outcome`] what becomes of a message
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod claimed;
pub mod client_tls;
pub mod connect;
pub mod dispatch;
mod dns_cache;
pub mod held;
pub mod hosts;
mod key_source;
pub mod limits;
pub mod lua;
pub mod maildir;
pub mod mta_sts;
pub mod next;
pub mod outcome;
pub mod proxy;
pub mod questions;
pub mod resolve;
pub mod routing;
pub mod session;
pub mod stage;
pub mod start;
pub mod tap;
pub mod timed;
pub mod wire;
pub mod words;

pub use stage::Egress;

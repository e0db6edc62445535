//! The client's side of SMTP, without I/O.
//!
//! [`conversation`] the pipelined transaction: what was sent, what each answer belongs to · [`capabilities`] what a next hop
//! offers, and the commands as text · [`broken`] how a connection breaks.

pub mod broken;
pub mod capabilities;
pub mod conversation;

//! The message object and the other objects of mail that handlers are given.

pub(crate) mod address_header;
pub(crate) mod arguments;
pub(crate) mod body;
mod conformance;
mod import;
mod lua;
pub(crate) mod objects;
#[cfg(test)]
mod tests;

//! What is generated from the option tables and the live VM: annotations for editors, reference pages, and the table of what is
//! the same as in the contract, what differs and what is missing. Nothing here can claim what the VM does not have.

mod compat;
mod files;
mod functions;
mod lua_types;
mod reference;
mod tables;
#[cfg(test)]
mod tests;

pub use files::files;
pub use tables::{tables, TableDef};

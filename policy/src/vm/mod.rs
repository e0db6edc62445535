//! The VM of Lua and what its native functions are made with: below the families of functions, which all use it.
//!
//! - [`context`]: what the functions of a VM share · [`machine`]: finding and running handlers · [`handler_budget`]: a handler that
//!   loops is stopped · [`patterns`]: Lua patterns that can be interrupted
//! - [`lua_value`]: between Lua values, plain data and JSON · [`option_objects`], [`read_options`]: options that a policy gives
//! - [`functions`]: functions that wait only when they must, [`declared`]: what is told of each · [`message_arguments`]: messages lent to handlers · [`asker`]: DNS
//! - [`error`], [`finding`], [`lua_positions`]: what went wrong, and where

pub(crate) mod asker;
pub mod context;
pub(crate) mod declared;
pub mod error;
pub mod finding;
pub(crate) mod functions;
pub(crate) mod handler_budget;
pub(crate) mod lua_positions;
pub(crate) mod lua_value;
pub(crate) mod machine;
pub(crate) mod message_arguments;
pub(crate) mod option_objects;
pub(crate) mod patterns;
pub(crate) mod read_options;

pub(crate) use context::{ctx, Ctx};

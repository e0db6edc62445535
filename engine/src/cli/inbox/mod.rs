//! The inbox's settings as Mailpit's flags and environment variables give them.
//!
//! [`args`] what may be written · [`environment`] older names, empty values, names nobody knows · [`settings`] what it means ·
//! [`values`] kinds of values · [`table`] every flag of Mailpit's with its state here.

pub mod args;
pub mod environment;
pub mod settings;
pub mod table;
pub mod values;

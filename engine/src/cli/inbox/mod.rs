//! The inbox's settings as Mailpit's flags and environment variables give them.
//!
//! [`args`] what may be written · [`environment`] older names, empty values, names nobody knows · [`settings`] what it means ·
//! [`values`] kinds of values · [`table`] every flag of Mailpit's with its state here · [`tools`] arguments of the programs
//! beside it: [`sendmail`], [`ingest`] (and dump), [`readyz`]; [`door`] where they hand mail in.

pub mod args;
pub mod door;
pub mod environment;
pub mod ingest;
pub mod readyz;
pub mod sendmail;
pub mod settings;
pub mod table;
pub mod tools;
pub mod values;

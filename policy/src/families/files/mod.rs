//! `kumo.fs`: files and folders, the globs they are found by, and those that are watched for changes.

pub(crate) mod glob;
pub(crate) mod lua;
pub mod monitor;

//! `kumo.fs`: files and folders, and the globs they are found by.

pub(crate) mod glob;
pub(crate) mod lua;

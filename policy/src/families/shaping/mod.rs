//! `kumo.shaping`: files of limits per domain, site and provider, merged into the options of an egress path.
//!
//! Layout: `read` (a file into sections, with findings), `merge` (sections into layers, and what applies to a path), `rules`
//! (automation rules and which records they match), `options` (how findings are graded), `lua` (loading, with files and look-ups).

pub(crate) mod lua;
pub(crate) mod merge;
pub(crate) mod options;
pub(crate) mod read;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

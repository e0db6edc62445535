//! `kumo.aaa`: who may do what. [`walk`] asks for a resource's rules, [`objects`] are the rules, [`lua`] is what a policy sees.

pub(crate) mod lua;
pub(crate) mod objects;
pub(crate) mod walk;

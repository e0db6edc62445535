//! `kumo.string`: texts cut, joined and made of templates.

pub(crate) mod lua;
pub(crate) mod template;

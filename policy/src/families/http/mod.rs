//! `kumo.http`: requests, forms, websockets.

mod form;
pub(crate) mod lua;
pub(crate) mod params;
pub(crate) mod response;
mod sending;
pub(crate) mod websocket;

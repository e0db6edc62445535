//! The declarations of all families.

use super::*;
use crate::vm::declared::FnDef;

/// The functions that families declare, by family.
pub(crate) const DECLARED: &[&[FnDef]] = &[
    aaa::lua::FUNCTIONS,
    amqp::lua::FUNCTIONS,
    api::FUNCTIONS,
    auth::lua::FUNCTIONS,
    configuration::configs::FUNCTIONS,
    configuration::tuning::FUNCTIONS,
    core::FUNCTIONS,
    crypto::FUNCTIONS,
    digest::FUNCTIONS,
    dkim::lua::FUNCTIONS,
    dns::lua::FUNCTIONS,
    encode::FUNCTIONS,
    file_type::FUNCTIONS,
    files::lua::FUNCTIONS,
    http::lua::FUNCTIONS,
    http::websocket::FUNCTIONS,
    invoke::FUNCTIONS,
    jsonl::lua::FUNCTIONS,
    #[cfg(feature = "kafka")]
    kafka::lua::FUNCTIONS,
    keys::FUNCTIONS,
    maps::FUNCTIONS,
    memoize::FUNCTIONS,
    mime::lua::FUNCTIONS,
    mpsc::lua::FUNCTIONS,
    redis::lua::FUNCTIONS,
    regex::FUNCTIONS,
    regex_map::FUNCTIONS,
    serde::FUNCTIONS,
    shaping::lua::FUNCTIONS,
    string::lua::FUNCTIONS,
    string::template::FUNCTIONS,
    throttle::FUNCTIONS,
    time::FUNCTIONS,
    uuid::FUNCTIONS,
];

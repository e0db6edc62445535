//! The options of an HTTP client.

use std::collections::BTreeMap;
use std::time::Duration;

use ringmta_options::*;

use crate::limits::{HTTP_POOL_IDLE, HTTP_TIMEOUT};

option_table! {
    /// How a client behaves.
    pub struct ClientParams for "kumo.http.build_client" {
        /// Value of the User-Agent header.
        user_agent: Option<String> = None,
        /// Log the bytes of connections.
        connection_verbose: bool = false; Support::NoEffect("requests may carry secrets, which are never logged"),
        /// Idle pooled connections are closed after this (duration).
        pool_idle_timeout: Duration = HTTP_POOL_IDLE,
        /// Deadline of each request (duration).
        timeout: Duration = HTTP_TIMEOUT,
        /// Take any certificate.
        accept_invalid_certs: bool = false,
        /// Take any certificate (another name for it that policies use).
        danger_accept_invalid_certs: bool = false,
        /// Headers of every request.
        headers: BTreeMap<String, SecretText> = BTreeMap::new(),
    }
}

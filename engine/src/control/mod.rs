//! The faces to operators: HTTP API, metrics, admin.

pub mod http;

//! The faces to operators: HTTP API, metrics, admin.

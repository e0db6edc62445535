//! Metadata.

/// Metadata of a message or a connection: plain JSON values by name.
pub type Meta = serde_json::Map<String, serde_json::Value>;

//! Every numeric limit of mail values, with its unit in the name and its reason beside it.

/// Longest address taken: 254 octets are legal (RFC 5321 section 4.5.3.1.3), real paths with VERP tokens run longer.
pub const MAX_ADDRESS_BYTES: usize = 1024;
/// Longest domain taken (RFC 5321 section 4.5.3.1.2).
pub const MAX_DOMAIN_BYTES: usize = 255;
/// Parts of one MIME message; more is refused.
pub const MAX_MIME_PARTS: usize = 10_000;
/// Recipients of one report that are looked at.
pub const MAX_REPORT_RECIPIENTS: usize = 1000;
/// Fields of one report that are looked at: a dozen for each of its recipients.
pub const MAX_REPORT_FIELDS: usize = 12_000;
/// Nesting of MIME parts.
pub const MAX_MIME_DEPTH: usize = 32;
/// Parameters of one header value that are looked at: each is compared with those before it.
pub const MAX_PARAMETERS: usize = 200;

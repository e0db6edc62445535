//! The public suffix list (<https://publicsuffix.org>): which part of a name its registry gives away.
//!
//! A crate of its own, hardly optimised: the list is half a million lines of generic code, which every crate
//! that asks would compile again with its own settings.

/// The registrable part of a name in lower case, such as `example.co.uk` of `mail.example.co.uk`: DMARC's
/// organizational domain (RFC 7489, section 3.2). `None` for a public suffix itself.
pub fn domain(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// The public suffix of a name in lower case, such as `co.uk`.
pub fn suffix(name: &str) -> Option<&str> {
    psl::suffix_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_labels() {
        assert_eq!(domain("a.b.example.co.uk"), Some("example.co.uk"));
        assert_eq!(suffix("a.b.example.co.uk"), Some("co.uk"));
        assert_eq!(domain("co.uk"), None);
        // No rule: the last label (the list's own "*").
        assert_eq!(suffix("host.internal-name"), Some("internal-name"));
    }
}

//! Subjects of certificates: what a client shows is read without a failure, and told in bounded text.

use ringmta_io::subject;

/// The bytes are a certificate in DER.
pub fn check(data: &[u8]) {
    let Some(attributes) = subject::of(data) else { return };
    assert!(attributes.len() <= 32, "{} attributes", attributes.len());
    for attribute in attributes {
        let (name, value) = attribute.split_once('=').expect("name=value");
        assert!(name.bytes().all(|b| b.is_ascii_alphabetic()), "{name}");
        // A byte of another alphabet is at most three of UTF-8.
        assert!(value.len() <= 3 * data.len(), "{value}");
    }
}

/// A certificate that signs itself: made with one key, `CN=client one,O=Example,C=DE`.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![SELF_SIGNED.to_vec()]
}

const SELF_SIGNED: &[u8] = include_bytes!("certificate.der");

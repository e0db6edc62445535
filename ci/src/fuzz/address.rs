//! Envelope addresses: what is taken fits a command line and says the same when it is read again.

use ringmta_policy::EnvelopeAddress;

/// The bytes are an address.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(address) = EnvelopeAddress::parse(text) else { return };
    assert_eq!(address.email(), text);
    assert_eq!(address.is_null(), text.is_empty());
    // Nothing that ends a path, a line or a record.
    assert!(!text.bytes().any(|b| b < b' ' || b == 0x7f), "{text:?}");
    if address.is_null() {
        return;
    }
    assert_eq!(format!("{}@{}", address.user(), address.domain()), text);
    assert!(!address.user().is_empty() && !address.domain().is_empty());
    assert!(!address.domain().contains(['@', '<', '>', ' ', '"', '\\']));
    if !address.user().starts_with('"') {
        assert!(!address.user().contains(['<', '>', ' ', '"', ',', ';', ':', '\\']));
    }
    let command = format!("<{text}> SIZE=1");
    let read = ringmta_smtp::server::command::parse_path(&command);
    assert_eq!(read, Some((text, "SIZE=1")), "does not stand in a path");
    let domain = address.routing_domain();
    assert_eq!(domain, domain.to_lowercase());
    if let Some(ascii) = address.to_ascii() {
        assert!(ascii.is_ascii());
        if let Ok(same) = EnvelopeAddress::parse(&ascii) {
            assert_eq!(same.routing_domain(), domain, "both spellings are one");
        }
    }
}

/// Addresses of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = [
        "u@dst.test",
        "\"a b>\\\"c\"@dst.test.",
        "u+tag@[192.0.2.1]",
        "u@[IPv6:2001:db8::1]",
        "j\u{fc}rgen@m\u{fc}nchen.test",
        "a..b.@xn--mnchen-3ya.test",
        "",
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

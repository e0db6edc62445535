//! The PROXY header: the same however it is cut, decided within its limit, and of what it names nothing is made up.

use ringmta_smtp::limits::PROXY_HEADER_BYTES;
use ringmta_smtp::proxy_header::{parse, Found};

/// The bytes are the start of a connection.
pub fn check(data: &[u8]) {
    let whole = parse(data);
    if let Ok(Found::Header(_, bytes)) = &whole {
        assert!(*bytes <= data.len().min(PROXY_HEADER_BYTES));
        // What stands behind it has no say.
        assert_eq!(parse(&data[..*bytes]), whole);
    }
    if data.len() >= PROXY_HEADER_BYTES {
        assert_ne!(whole, Ok(Found::More), "more is waited for than a header may have");
    }
    // Whoever has seen a part never decides otherwise than whoever sees all.
    for cut in 0..data.len().min(PROXY_HEADER_BYTES) {
        match parse(&data[..cut]) {
            Ok(Found::More) => {}
            decided => assert_eq!(decided, whole, "at {cut}"),
        }
    }
    if let (Ok(Found::Header(Some((from, to)), bytes)), true) =
        (&whole, data.starts_with(b"PROXY "))
    {
        assert_eq!(from.is_ipv4(), to.is_ipv4());
        let line = String::from_utf8_lossy(&data[..bytes - 2]);
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.len(), 6);
        assert_eq!(words[2].parse(), Ok(from.ip()));
        assert_eq!(words[5].parse(), Ok(to.port()));
    }
}

/// Headers of both versions.
pub fn seeds() -> Vec<Vec<u8>> {
    let two = |command: u8, family: u8, body: &[u8]| {
        let length = (body.len() as u16).to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body, b"EHLO x\r\n"].concat()
    };
    let six: Vec<u8> = (0..36).collect();
    vec![
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\nEHLO x\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n".to_vec(),
        b"PROXY UNKNOWN whatever\r\n".to_vec(),
        two(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 220, 4, 0, 25]),
        two(0x21, 0x21, &[&six[..], b"\x03\x00\x04tail"].concat()),
        two(0x20, 0, b""),
        two(0x21, 0x31, &[b'/'; 216]),
    ]
}

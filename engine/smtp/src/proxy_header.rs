//! The header of HAProxy's PROXY protocol, versions 1 and 2, in front of a session: who the client of the proxy is.

use crate::limits::{PROXY_HEADER_BYTES, PROXY_HEADER_SECS};
use crate::server::buffer::RecvBuf;
use ringmta_io::{deadline, Conn};
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// First bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, as its specification has it.
const LINE_BYTES: usize = 107;
/// Bytes of version 2 in front of the addresses.
const FIXED_BYTES: usize = 16;

/// Client and the address it connected to.
pub type Ends = (SocketAddr, SocketAddr);

/// What stands at the start of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Not all of the header is there yet.
    More,
    /// A header of so many bytes. It names no addresses when the proxy speaks for itself.
    Header(Option<Ends>, usize),
}

/// Looks for a header.
///
/// # Errors
/// Why there is none.
pub fn parse(bytes: &[u8]) -> std::result::Result<Found, &'static str> {
    let signature = &SIGNATURE[..bytes.len().min(SIGNATURE.len())];
    if bytes.starts_with(signature) {
        return binary(bytes);
    }
    let start = &b"PROXY "[..bytes.len().min(6)];
    if !bytes.starts_with(start) {
        return Err("no PROXY header");
    }
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(LINE_BYTES)]) else {
        return if bytes.len() < LINE_BYTES { Ok(Found::More) } else { Err("line too long") };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or("line without CR")?;
    let line = std::str::from_utf8(line).map_err(|_| "line is not text")?;
    text(line).map(|ends| Found::Header(ends, end + 1))
}

fn text(line: &str) -> std::result::Result<Option<Ends>, &'static str> {
    let words: Vec<&str> = line.split(' ').collect();
    let (family, rest) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            (family, [(from, from_port), (to, to_port)])
        }
        _ => return Err("malformed line"),
    };
    let end = |(ip, port): (&str, &str)| {
        let ip: IpAddr = ip.parse().map_err(|_| "not an address")?;
        if ip.is_ipv4() != (family == "TCP4") {
            return Err("address of another family");
        }
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or("not a port")?;
        Ok(SocketAddr::new(ip, port))
    };
    Ok(Some((end(rest[0])?, end(rest[1])?)))
}

fn binary(bytes: &[u8]) -> std::result::Result<Found, &'static str> {
    let Some(head) = bytes.get(..FIXED_BYTES) else { return Ok(Found::More) };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > PROXY_HEADER_BYTES - FIXED_BYTES {
        return Err("header too long");
    }
    let Some(body) = bytes.get(FIXED_BYTES..FIXED_BYTES + length) else { return Ok(Found::More) };
    let whole = FIXED_BYTES + length;
    let ends = match (head[12], head[13]) {
        // The proxy itself, such as its health check.
        (0x20, _) => None,
        (0x21, 0x11) => {
            let body: &[u8; 12] = body.first_chunk().ok_or("addresses are cut")?;
            let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
            let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
            let (from, to) = (IpAddr::V4(ip(0)), IpAddr::V4(ip(4)));
            Some((SocketAddr::new(from, port(8)), SocketAddr::new(to, port(10))))
        }
        (0x21, 0x21) => {
            let body: &[u8; 36] = body.first_chunk().ok_or("addresses are cut")?;
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&body[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
            Some((SocketAddr::new(ip(0), port(32)), SocketAddr::new(ip(16), port(34))))
        }
        // Neither address is known, or they are paths of the proxy's machine.
        (0x21, 0x00 | 0x31) => None,
        (0x21, _) => return Err("not a stream over IP"),
        _ => return Err("unknown version or command"),
    };
    Ok(Found::Header(ends, whole))
}

/// Receives the header; what came behind it stays in `input`.
///
/// # Errors
/// There is none, it is malformed, or it does not come in time.
pub async fn receive(conn: &mut Conn, input: &mut RecvBuf) -> Result<Option<Ends>> {
    let whole = async {
        loop {
            match parse(input.bytes()) {
                Ok(Found::Header(ends, bytes)) => {
                    input.consume(bytes);
                    return Ok(ends);
                }
                Ok(Found::More) => {}
                Err(why) => return Err(Error::new(ErrorKind::InvalidData, why)),
            }
            match conn.read(input.space(PROXY_HEADER_BYTES)).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => input.filled(count),
            }
        }
    };
    deadline(Duration::from_secs(PROXY_HEADER_SECS), whole).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(from: &str, to: &str) -> Option<Ends> {
        Some((from.parse().unwrap(), to.parse().unwrap()))
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    #[test]
    fn lines() {
        let good: [(&str, Option<Ends>); 4] = [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\r\n",
                ends("192.0.2.1:5000", "198.51.100.2:25"),
            ),
            ("PROXY TCP6 2001:db8::1 ::2 1 65535\r\n", ends("[2001:db8::1]:1", "[::2]:65535")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ff::1 ff::2 7 8\r\n", None),
        ];
        for (line, want) in good {
            let with_more = format!("{line}EHLO x\r\n");
            assert_eq!(parse(with_more.as_bytes()), Ok(Found::Header(want, line.len())), "{line}");
            for cut in 0..line.len() {
                assert_eq!(
                    parse(&line.as_bytes()[..cut]),
                    Ok(Found::More),
                    "{line:?} cut at {cut}"
                );
            }
        }
        for bad in [
            "EHLO x\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 5000\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 5000 25 9\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.2 5000 25\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 5000 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +5 25\r\n",
            "PROXY TCP4 ::1 ::2 5000 25\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.2 5000 25\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 5000 25\n",
            "PROXY UDP4 192.0.2.1 198.51.100.2 5000 25\r\n",
            "proxy UNKNOWN\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let endless = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        assert_eq!(parse(&endless), Err("line too long"));
    }

    #[test]
    fn binary_headers() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0x13, 0x88, 0, 25];
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 7, 25);
        let more = [&v4[..], &[4, 0, 1, 0]].concat();
        for (bytes, want) in [
            (version_2(0x21, 0x11, &v4), ends("192.0.2.1:5000", "198.51.100.2:25")),
            (version_2(0x21, 0x11, &more), ends("192.0.2.1:5000", "198.51.100.2:25")),
            (version_2(0x21, 0x21, &v6), ends("[::1]:7", "[::2]:25")),
            (version_2(0x20, 0x00, &[]), None),
            (version_2(0x21, 0x00, &[]), None),
            (version_2(0x21, 0x31, &[0; 216]), None),
        ] {
            assert_eq!(parse(&bytes), Ok(Found::Header(want, bytes.len())));
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(Found::More), "cut at {cut}");
            }
        }
        for bad in [
            version_2(0x21, 0x11, &v4[..11]),
            version_2(0x21, 0x21, &v6[..35]),
            version_2(0x21, 0x12, &v4),
            version_2(0x11, 0x11, &v4),
            version_2(0x22, 0x11, &v4),
            version_2(0x21, 0x11, &[0; 4000]),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }
}

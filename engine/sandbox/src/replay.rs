//! Telling a stored event again: one POST to a receiver that is being developed. Only addresses and `localhost` are taken, for
//! looking names up would hold the shard.

use crate::limits::{RECEIVER_REPLAY_ANSWER_BYTES, RECEIVER_REPLAY_SECS};
use ringmta_io::{deadline, Conn, Stream};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where to.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    address: SocketAddr,
    host: String,
    path: String,
}

impl Target {
    /// Of `http://127.0.0.1:3000/path`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Target, String> {
        let rest = url.strip_prefix("http://").ok_or("give an address that begins with http://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || host.contains(['@', '#', '\\']) {
            return Err("an address has no spaces, no user and no password".into());
        }
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, port),
            None => host.split_at(host.rfind(':').unwrap_or(host.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
            None if port.is_empty() => 80,
            None => return Err(format!("`{host}` is no address")),
        };
        let ip: IpAddr = match name {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            name => name.parse().map_err(|_| {
                format!(
                    "`{name}` is neither an address nor localhost; names are not looked up here"
                )
            })?,
        };
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{path}");
        Ok(Target { address: SocketAddr::new(ip, port), host: host.into(), path })
    }
}

/// Posts `body` with these headers; gives back the status line of the answer.
///
/// # Errors
/// Why there was none.
pub async fn post(target: &Target, headers: &[(&str, String)], body: &[u8]) -> io::Result<String> {
    let limit = Duration::from_secs(RECEIVER_REPLAY_SECS);
    deadline(limit, talk(target, headers, body)).await?
}

async fn talk(target: &Target, headers: &[(&str, String)], body: &[u8]) -> io::Result<String> {
    let mut conn = Conn::Plain(Stream::connect(target.address, None).await?);
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n",
        target.path,
        target.host,
        body.len()
    );
    for (name, value) in headers {
        // What came in a header came without line ends; the key is the operator's.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    conn.write_all(head.as_bytes()).await?;
    conn.write_all(body).await?;
    conn.flush().await?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.contains(&b'\n') && answer.len() < RECEIVER_REPLAY_ANSWER_BYTES {
        let read = conn.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..read]);
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim().to_string();
    match line.strip_prefix("HTTP/1.") {
        Some(rest) => Ok(rest.split_once(' ').map_or("", |(_, status)| status).to_string()),
        None => Err(io::Error::other("what answered there speaks no HTTP/1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target =
            |url: &str| Target::parse(url).map(|t| format!("{} {} {}", t.address, t.host, t.path));
        for (url, wanted) in [
            ("http://localhost:3000/a?b=1", "127.0.0.1:3000 localhost:3000 /a?b=1"),
            ("http://127.0.0.1", "127.0.0.1:80 127.0.0.1 /"),
            ("http://[::1]:8080?x", "[::1]:8080 [::1]:8080 /?x"),
            ("http://10.0.0.7:1/p#f", "10.0.0.7:1 10.0.0.7:1 /p"),
        ] {
            assert_eq!(target(url).as_deref(), Ok(wanted), "{url}");
        }
        for wrong in [
            "",
            "https://localhost/",
            "http://example.com/",
            "http://u:p@127.0.0.1/",
            "http://127.0.0.1:x/",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
            "http://[::1/",
            "http://[::1]x/",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}

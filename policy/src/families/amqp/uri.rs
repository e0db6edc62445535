//! `amqp://user:password@host:port/vhost`, as RabbitMQ defines it.

use std::time::Duration;

use ringmta_options::SecretText;
use ureq::http::Uri;

use super::options::AmqpConnection;

/// Bytes of a part of a URI, `%41` and all.
fn decoded(part: &str) -> Result<String, String> {
    let bad = || format!("`{part}` is not a part of a URI");
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let hex = more.get(..2).and_then(|h| std::str::from_utf8(h).ok()).ok_or_else(bad)?;
        out.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
        rest = &more[2..];
    }
    String::from_utf8(out).map_err(|_| bad())
}

/// How the server of a URI is reached.
///
/// # Errors
/// What is wrong with the URI. The password is not shown.
pub(super) fn parse(text: &str) -> Result<AmqpConnection, String> {
    let uri: Uri = text.parse().map_err(|_| "this is not a URI".to_owned())?;
    let tls = match uri.scheme_str() {
        Some("amqp") => false,
        Some("amqps") => true,
        _ => return Err("the URI must begin with amqp:// or amqps://".into()),
    };
    let host = uri.host().filter(|h| !h.is_empty()).ok_or("the URI has no host")?;
    let mut p = AmqpConnection {
        host: host.to_owned(),
        port: uri.port_u16().unwrap_or(if tls { 5671 } else { 5672 }),
        enable_tls: tls,
        // One connection, as one client has.
        pool_size: 1,
        ..AmqpConnection::default()
    };
    let whole = uri.authority().map_or("", |a| a.as_str());
    if let Some((user, _)) = whole.rsplit_once('@') {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        p.username = decoded(name)?;
        p.password = SecretText(decoded(password).map_err(|_| "the password is no part of a URI")?);
    }
    // No path at all is the default one; a path without a name is the one without a name.
    if let Some((_, path)) = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
        p.vhost = decoded(path.split('?').next().unwrap_or(""))?;
    }
    for pair in uri.query().unwrap_or("").split('&').filter(|q| !q.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value)?;
        match name {
            "cacertfile" => p.root_ca_cert = Some(value),
            "certfile" => p.client_cert = Some(value),
            "keyfile" => p.client_private_key = Some(value),
            "connection_timeout" => {
                let millis = value.parse().map_err(|_| format!("`{pair}` is no time"))?;
                p.connect_timeout = Duration::from_millis(millis);
            }
            other => return Err(format!("the URI's parameter `{other}` is not supported")),
        }
    }
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let p = parse("amqp://host").unwrap();
        assert_eq!((p.host.as_str(), p.port, p.vhost.as_str()), ("host", 5672, "/"));
        assert_eq!((p.username.as_str(), p.password.0.as_str()), ("guest", "guest"));
        let p =
            parse("amqps://us%61:p%40ss@10.0.0.1:99/v%2fh?cacertfile=/a%20b&connection_timeout=5")
                .unwrap();
        assert_eq!((p.host.as_str(), p.port, p.vhost.as_str()), ("10.0.0.1", 99, "v/h"));
        assert_eq!((p.username.as_str(), p.password.0.as_str()), ("usa", "p@ss"));
        assert_eq!(p.root_ca_cert.as_deref(), Some("/a b"));
        assert_eq!((p.enable_tls, p.connect_timeout), (true, Duration::from_millis(5)));
        assert_eq!(parse("amqp://host/").unwrap().vhost, "");
        assert_eq!(parse("amqps://[::1]").unwrap().port, 5671);
        for (bad, says) in [
            ("http://host", "must begin with amqp://"),
            ("host", "must begin with"),
            ("amqp://host/?frame_max=1", "`frame_max` is not supported"),
            ("amqp://host/%zz", "`%zz`"),
        ] {
            let e = parse(bad).unwrap_err();
            assert!(e.contains(says), "{bad}: {e}");
        }
        let e = parse("amqp://u:secret%zz@host").unwrap_err();
        assert!(!e.contains("secret"), "{e}");
    }
}

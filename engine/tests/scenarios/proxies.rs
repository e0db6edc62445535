//! Mail that leaves through a proxy.

use crate::support::{message, Sink, Site};
use std::io::{copy, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A proxy: `prepare` talks to the client and says where to connect to; then bytes pass both ways.
struct Proxy {
    addr: SocketAddr,
    /// What the clients have said first.
    said: Arc<Mutex<Vec<String>>>,
}

fn proxy(prepare: fn(&mut TcpStream, &mut Vec<String>) -> Option<SocketAddr>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = said.clone();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let kept = kept.clone();
            std::thread::spawn(move || {
                let mut words = Vec::new();
                let to = prepare(&mut client, &mut words);
                kept.lock().unwrap().extend(words);
                let Some(server) = to.and_then(|to| TcpStream::connect(to).ok()) else { return };
                pass(client, server);
            });
        }
    });
    Proxy { addr, said }
}

fn pass(client: TcpStream, server: TcpStream) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = std::thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = up.join();
}

fn bytes<const N: usize>(stream: &mut TcpStream) -> Option<[u8; N]> {
    let mut out = [0; N];
    stream.read_exact(&mut out).ok().map(|()| out)
}

fn text(stream: &mut TcpStream) -> Option<String> {
    let [length] = bytes(stream)?;
    let mut out = vec![0; usize::from(length)];
    stream.read_exact(&mut out).ok()?;
    String::from_utf8(out).ok()
}

/// (command, address) of a request for IPv4.
fn request(stream: &mut TcpStream) -> Option<(u8, SocketAddr)> {
    let [5, command, 0, 1] = bytes(stream)? else { return None };
    let ip = Ipv4Addr::from(bytes::<4>(stream)?);
    Some((command, (ip, u16::from_be_bytes(bytes(stream)?)).into()))
}

/// SOCKS5 with a password, BIND before CONNECT.
fn socks5(stream: &mut TcpStream, said: &mut Vec<String>) -> Option<SocketAddr> {
    let [5, count] = bytes(stream)? else { return None };
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods).ok()?;
    if !methods.contains(&2) {
        stream.write_all(&[5, 0xff]).ok()?;
        return None;
    }
    stream.write_all(&[5, 2]).ok()?;
    let [1] = bytes(stream)? else { return None };
    let good = (text(stream)?, text(stream)?) == ("me".into(), "secret".into());
    stream.write_all(&[1, u8::from(!good)]).ok()?;
    let (command, from) = request(stream)?;
    said.push(format!("{command} {}", from.ip()));
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 99]).ok()?;
    let (command, to) = request(stream)?;
    said.push(format!("{command} {to}"));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    Some(to)
}

fn source(site: &mut Site, options: &str) {
    site.queue = "egress_pool = 'mine', retry_interval = '300ms',".into();
    site.extra = format!(
        "
kumo.on('get_egress_pool', function(name)
  return kumo.make_egress_pool {{ name = name, entries = {{ {{ name = 'far' }} }} }}
end)
kumo.on('get_egress_source', function(name)
  return kumo.make_egress_source {{ name = name, {options} }}
end)"
    );
}

#[test]
fn through_socks5() {
    let sink = Sink::start();
    let proxy = proxy(socks5);
    let mut site = Site::to(sink.addr);
    source(
        &mut site,
        &format!(
            "socks5_proxy_server = '{}', socks5_proxy_source_address = '127.0.0.1',
             socks5_proxy_username = 'me', socks5_proxy_password = {{ key_data = 'secret' }}",
            proxy.addr
        ),
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("proxied"));
    sink.wait_messages(1);
    engine.wait_empty();
    let record = site.wait_record("Delivery", |_| true);
    let want = serde_json::json!(
        {"address": "127.0.0.1:99", "server": proxy.addr.to_string(), "protocol": "socks5"});
    assert_eq!(record["source_address"], want);
    let said = proxy.said.lock().unwrap().clone();
    assert_eq!(said[..2], ["2 127.0.0.1".to_string(), format!("1 {}", sink.addr)]);
}

#[test]
fn a_socks5_server_that_is_not_as_it_should_be() {
    let sink = Sink::start();
    let no_auth = proxy(socks5);
    let refusing = proxy(|stream, _| {
        bytes::<3>(stream)?;
        stream.write_all(&[5, 0]).ok()?;
        request(stream)?;
        stream.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        None
    });
    let other = proxy(|stream, _| {
        stream.write_all(b"220 hello\r\n").ok()?;
        None
    });
    let closing = proxy(|_, _| None);
    for (proxy, why) in [
        (&no_auth, "incompatible SOCKS5 authentication NoAcceptableMethod"),
        (&refusing, "SocksV5Response { status: ConnectionNotAllowed"),
        (&other, "SOCKS5"),
        (&closing, "failed to perform proxy handshake with "),
    ] {
        let mut site = Site::to(sink.addr);
        let options = format!(
            "socks5_proxy_server = '{}', socks5_proxy_source_address = '127.0.0.1'",
            proxy.addr
        );
        source(&mut site, &options);
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("stuck"));
        let record = site.wait_record("TransientFailure", |_| true);
        let text = record["response"]["content"].as_str().unwrap();
        assert!(text.contains(why), "{text}");
    }
    // Never around the proxy.
    assert_eq!(sink.connections(), 0);
}

#[test]
fn through_haproxy() {
    let sink = Sink::start();
    let proxy = proxy(|stream, said| {
        let head = bytes::<28>(stream)?;
        said.push(format!("{:?}", &head[12..24]));
        let ip = Ipv4Addr::new(head[20], head[21], head[22], head[23]);
        Some((ip, u16::from_be_bytes([head[26], head[27]])).into())
    });
    let mut site = Site::to(sink.addr);
    let options =
        format!("ha_proxy_server = '{}', ha_proxy_source_address = '127.0.0.7'", proxy.addr);
    source(&mut site, &options);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("proxied"));
    sink.wait_messages(1);
    engine.wait_empty();
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["source_address"]["protocol"], "haproxy");
    let want = [0x21, 0x11, 0, 12, 127, 0, 0, 7, 127, 0, 0, 1];
    assert_eq!(proxy.said.lock().unwrap()[0], format!("{want:?}"));
}

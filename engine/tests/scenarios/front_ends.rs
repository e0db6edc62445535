//! Clients behind a front end: PROXY headers and XCLIENT.

use crate::support::{message, without_trace, Sink, Site, Smtp};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use std::io::Read;
use std::net::TcpStream;

/// Tells what policy knows of the connection.
const SHOW: &str = "
kumo.on('smtp_server_message_received', function(msg, conn)
  local function known(name) return conn:get_meta(name) or '-' end
  msg:prepend_header('X-Ends', known 'received_from' .. ' ' .. known 'received_via')
  msg:prepend_header('X-Proxied', tostring(conn:get_meta 'orig_received_from' ~= nil))
end)";

fn text_of(sink: &Sink, count: usize) -> String {
    String::from_utf8(sink.wait_messages(count)[count - 1].data.clone()).unwrap()
}

#[test]
fn the_client_is_the_one_the_proxy_names() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.listener =
        "require_proxy_protocol = true, relay_hosts = { '192.0.2.0/24', '2001:db8::/32' },".into();
    site.extra = SHOW.into();
    let engine = site.start(1);
    let v2 = {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
        for ip in ["2001:db8::7", "2001:db8::1"] {
            header.extend(ip.parse::<std::net::Ipv6Addr>().unwrap().octets());
        }
        header.extend([0x13, 0x88, 0, 25]);
        header
    };
    let cases = [
        (
            b"PROXY TCP4 192.0.2.9 198.51.100.2 5000 25\r\n".to_vec(),
            "192.0.2.9:5000 198.51.100.2:25",
        ),
        (v2, "[2001:db8::7]:5000 [2001:db8::1]:25"),
    ];
    for (at, (header, want)) in cases.into_iter().enumerate() {
        let mut client = Smtp::connect(engine.smtp);
        client.send(header);
        assert_eq!(client.reply().code, 220);
        client.expect(250, "EHLO far.test");
        let reply = client.transaction("a@src.test", &["u@dst.test"], &message("proxied"));
        assert_eq!(reply.code, 250, "{reply:?}");
        let text = text_of(&sink, at + 1);
        assert!(text.contains(&format!("X-Ends: {want}\r\n")), "{text}");
        assert!(text.contains("X-Proxied: true\r\n"), "{text}");
    }
    // What the proxy names counts for relaying, too.
    let mut client = Smtp::connect(engine.smtp);
    client.send(b"PROXY TCP4 203.0.113.1 198.51.100.2 5000 25\r\n");
    assert_eq!(client.reply().code, 220);
    client.expect(250, "EHLO far.test");
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(550, "RCPT TO:<u@dst.test>");
}

#[test]
fn without_its_header_a_connection_is_closed() {
    let mut site = Site::new();
    site.listener = "require_proxy_protocol = true,".into();
    let engine = site.start(1);
    let bad: [&[u8]; 4] = [
        b"EHLO far.test\r\n",
        b"PROXY TCP4 not an address\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.2 5000 99999\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ];
    for header in bad {
        let mut stream = TcpStream::connect(engine.smtp).unwrap();
        std::io::Write::write_all(&mut stream, header).unwrap();
        let mut said = Vec::new();
        // The rest of what was sent may make it a reset rather than an end.
        let _ = stream.read_to_end(&mut said);
        assert_eq!(said, b"", "{header:?}");
    }
    let mut client = Smtp::connect(engine.smtp);
    client.send(b"PROXY UNKNOWN\r\n");
    assert_eq!(client.reply().code, 220);
}

#[test]
fn xclient_names_the_client() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.listener =
        "relay_hosts = { '192.0.2.9' }, peer = { ['127.0.0.1'] = { allow_xclient = true } },"
            .into();
    site.extra = SHOW.into();
    let engine = site.start(1);
    let mut client = engine.client();
    let offers = client.expect(250, "EHLO front.test").text();
    assert!(offers.contains("XCLIENT ADDR PORT DESTADDR DESTPORT"), "{offers}");
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(550, "RCPT TO:<u@dst.test>");
    client.expect(503, "XCLIENT ADDR=192.0.2.9");
    client.expect(250, "RSET");
    for bad in ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT NAME=spike", "XCLIENT PORT=1 PORT=2"] {
        client.expect(501, bad);
    }
    client.expect(220, "XCLIENT ADDR=192.0.2.9 PORT=5000 DESTADDR=198.51.100.2 DESTPORT=25");
    client.expect(250, "EHLO far.test");
    let reply = client.transaction("a@src.test", &["u@dst.test"], &message("named"));
    assert_eq!(reply.code, 250, "{reply:?}");
    let text = text_of(&sink, 1);
    assert!(text.contains("X-Ends: 192.0.2.9:5000 198.51.100.2:25\r\n"), "{text}");
    assert!(text.contains("X-Proxied: true\r\n"), "{text}");
    assert!(text.contains("from far.test ([192.0.2.9])"), "{text}");
}

/// Whoever logged in was the front end's client of before; the one that is named now has not (as after STARTTLS, RFC 3207
/// section 4.2).
#[test]
fn a_login_does_not_survive_xclient() {
    let mut site = Site::new();
    site.listener = "relay_hosts = {}, peer = { ['127.0.0.1'] = { allow_xclient = true } },".into();
    site.extra = "
kumo.on('smtp_server_auth_plain', function(authz, authc, password) return password == 'secret' end)
kumo.on('smtp_server_mail_from', function(sender, conn)
  local who = conn:auth_info().identities
  kumo.log_info('seen: ' .. tostring(conn:get_meta 'authn_id') .. ' ' .. kumo.serde.json_encode(who))
end)"
        .into();
    let engine = site.start(1);
    let mut client = engine.greeted();
    let login = format!("AUTH PLAIN {}", STANDARD.encode("\0user\0secret"));
    client.expect(235, &login);
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RCPT TO:<u@dst.test>");
    engine.wait_says("seen: user [\"user\"]");
    client.expect(250, "RSET");
    client.expect(220, "XCLIENT ADDR=192.0.2.9");
    client.expect(250, "EHLO far.test");
    client.expect(250, "MAIL FROM:<a@src.test>");
    assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "550 5.7.1");
    engine.wait_says("seen: nil ");
    assert!(!engine.says("seen: nil [\""), "{:?}", engine.stderr());
    // The one that is named may log in.
    client.expect(250, "RSET");
    client.expect(235, &login);
    client.expect(250, "MAIL FROM:<a@src.test>");
    client.expect(250, "RCPT TO:<u@dst.test>");
}

#[test]
fn xclient_is_for_those_who_may() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut client = engine.client();
    let offers = client.expect(250, "EHLO front.test").text();
    assert!(!offers.contains("XCLIENT"), "{offers}");
    client.expect(502, "XCLIENT ADDR=192.0.2.9");
    engine.accept("a@src.test", &["u@dst.test"], &message("plain"));
    assert!(!without_trace(&sink.wait_messages(1)[0].data).is_empty());
}

#[test]
fn a_header_of_a_stranger_is_not_believed() {
    let mut site = Site::new();
    site.listener =
        "require_proxy_protocol = true, proxy_hosts = { '192.0.2.1' }, relay_hosts = { '0.0.0.0/0' },".into();
    let engine = site.start(1);
    let mut client = Smtp::connect(engine.smtp);
    let _ = client.try_send(b"PROXY TCP4 192.0.2.9 198.51.100.2 5000 25\r\n");
    client.expect_closed();
    engine.kill();
    site.listener = "require_proxy_protocol = true, proxy_hosts = { '127.0.0.1' },".into();
    let engine = site.start(1);
    let mut client = Smtp::connect(engine.smtp);
    client.send(b"PROXY TCP4 192.0.2.9 198.51.100.2 5000 25\r\n");
    assert_eq!(client.reply().code, 220);
}

//! What the engine says itself about a delivery, word for word: rules of automation, bounce classes and dashboards match
//! on these texts, and on where a record says that the message was.

use crate::support::dns::{NameServer, Zone};
use crate::support::{message, Phase, Sink, Site};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{json, Value};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

const NO_HOST: &str = "KumoMTA internal: failed to connect to any candidate hosts: ";
const NOT_SENT: &str =
    "KumoMTA internal: error in deliver_message: sender:send method failed: make.own: ";

fn content(record: &Value) -> &str {
    record["response"]["content"].as_str().unwrap()
}

/// A site whose mail waits long after its first attempt.
fn patient(mut site: Site) -> Site {
    site.queue += "retry_interval = '1 hour', max_age = '2 hours',";
    site
}

/// All mail leaves from a source of these options.
fn from_source(site: &mut Site, options: &str) {
    site.queue += "egress_pool = 'mine',";
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

/// The record of the first failure.
fn failure(site: &Site) -> Value {
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("fails"));
    site.wait_record("TransientFailure", |_| true)
}

/// A port where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_domain_without_hosts_is_an_attempt_of_its_site() {
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("gone.test.", _) => Zone::code(ResponseCode::NXDomain),
        ("broken.test.", RecordType::MX) => Zone::code(ResponseCode::ServFail),
        _ => Zone::default(),
    });
    let mut site = patient(Site::new());
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}", server.addr);
    let engine = site.start(1);
    // It does not exist, the server fails, it has neither MX nor address.
    for domain in ["gone.test", "broken.test", "empty.test"] {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message("lost"));
        let record = site.wait_record("TransientFailure", |record| record["queue"] == domain);
        let enhanced = json!({"class": 4, "subject": 4, "detail": 4});
        let said = json!({"code": 451, "enhanced_code": enhanced, "command": null,
            "content": "MX didn't resolve to any hosts"});
        assert_eq!(record["response"], said);
        assert_eq!(record["site"], format!("unspecified->{domain}@smtp_client"));
        assert_eq!(
            (&record["egress_pool"], &record["egress_source"]),
            (&json!("unspecified"), &json!("unspecified"))
        );
        assert!(record["session_id"].is_string(), "{record}");
        assert_eq!(
            (&record["delivery_protocol"], &record["peer_address"]),
            (&Value::Null, &Value::Null)
        );
    }
    // Operators are told what the name server said.
    let queue =
        engine.get("/api/admin/inspect-sched-q/v1?queue_name=broken.test").expect(200).json();
    assert!(queue["last_trouble"].as_str().unwrap().starts_with("MX of broken.test: "), "{queue}");
}

#[test]
fn an_address_that_is_not_on_this_host() {
    let sink = Sink::start();
    let mut site = patient(Site::to(sink.addr));
    from_source(&mut site, "source_address = '192.0.2.77'");
    let (at, record) = (sink.addr, failure(&site));
    assert_eq!(
        content(&record),
        format!(
            "{NO_HOST}All failures are related to having an unplumbed source address. Are the network interfaces \
             provisioned correctly? connect to {at} and read initial banner: bind 192.0.2.77 for far failed: Cannot \
             assign requested address (os error 99) while attempting to connect to {at} transport={at} proto=None"
        )
    );
    assert_eq!(record["response"]["code"], 400);
}

#[test]
fn a_source_of_the_other_family() {
    let sink = Sink::start();
    let at = sink.addr;
    for (options, words) in [
        (
            "source_address = '::1'".to_string(),
            format!(
                "bind ::1 for far failed: Address family not supported by protocol (os error 97) while attempting to \
                 connect to {at} transport={at} proto=None"
            ),
        ),
        (
            format!("ha_proxy_server = '{at}', ha_proxy_source_address = '::1'"),
            format!(
                "Skipping far because ha_proxy_source_address ::1 address family does not match the destination \
                 address family {at}"
            ),
        ),
        (
            format!("socks5_proxy_server = '{at}', socks5_proxy_source_address = '::1'"),
            format!(
                "Skipping far because socks5_proxy_source_address ::1 address family does not match the destination \
                 address family {at}"
            ),
        ),
    ] {
        let mut site = patient(Site::to(at));
        from_source(&mut site, &options);
        let record = failure(&site);
        let words = format!("{NO_HOST}connect to {at} and read initial banner: {words}");
        assert_eq!((content(&record), &record["response"]["code"]), (words.as_str(), &json!(400)));
    }
    assert_eq!(sink.connections(), 0);
}

#[test]
fn a_proxy_that_is_down() {
    let (to, gone) = (nobody(), nobody());
    let (ip, port) = (to.ip(), to.port());
    for (options, proxy) in [
        (
            format!("socks5_proxy_server = '{gone}', socks5_proxy_source_address = '127.0.0.1'"),
            format!(
                "Socks5 {{ server: {gone}, source: 127.0.0.1, destination: {to}, username_and_password: None }}"
            ),
        ),
        (
            format!("ha_proxy_server = '{gone}', ha_proxy_source_address = '127.0.0.1'"),
            format!(
                "HA {{ server: {gone}, addresses: IPv4(IPv4 {{ source_address: 127.0.0.1, source_port: 0, \
                 destination_address: {ip}, destination_port: {port} }}), source: 127.0.0.1 }}"
            ),
        ),
    ] {
        let mut site = patient(Site::to(to));
        from_source(&mut site, &options);
        assert_eq!(
            content(&failure(&site)),
            format!(
                "{NO_HOST}All failures are related to proxy connection issues. Is the proxy infrastructure online and \
                 healthy? connect to {to} and read initial banner: failed to connect to {gone} {proxy}: Connection \
                 refused (os error 111)"
            )
        );
    }
}

#[test]
fn a_proxy_that_has_not_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, to) = (listener.local_addr().unwrap(), nobody());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut hello, mut request) = ([0; 3], [0; 10]);
            let _ = client.read_exact(&mut hello).and_then(|()| client.write_all(&[5, 0]));
            let _ = client.read_exact(&mut request);
            let _ = client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
    });
    let mut site = patient(Site::to(to));
    let options =
        format!("socks5_proxy_server = '{server}', socks5_proxy_source_address = '127.0.0.1'");
    from_source(&mut site, &options);
    let socks = format!(
        "Socks5 {{ server: {server}, source: 127.0.0.1, destination: {to}, username_and_password: None }}"
    );
    let words = format!(
        "{NO_HOST}All failures are related to the proxy server having an unplumbed source address. Are the network \
         interfaces provisioned correctly on the proxy? connect to {to} and read initial banner: failed to perform \
         proxy handshake with {server} {socks}: The proxy server failed to bind 127.0.0.1 via {socks}: \
         SocksV5Response {{ status: ConnectionRefused"
    );
    let record = failure(&site);
    assert!(content(&record).starts_with(&words), "{record}");
}

#[test]
fn an_answer_that_does_not_come() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.stall = Some(Phase::Rcpt));
    let mut site = patient(Site::to(sink.addr));
    site.path = "rcpt_to_timeout = '1s', enable_pipelining = false,".into();
    let record = failure(&site);
    let words = format!(
        "KumoMTA internal: failed to send message to unspecified->mx_list:{}@smtp_client Some(ResolvedAddress {{ \
         name: \"127.0.0.1\", addr: 127.0.0.1, is_secure: false }}): Timed Out waiting 1s for response to \
         Some(Command(\"RCPT\\x20TO:<u@dst.test>\\r\\n\"))",
        sink.addr
    );
    assert_eq!((content(&record), &record["response"]["code"]), (words.as_str(), &json!(421)));
    assert_eq!(record["response"]["enhanced_code"], json!({"class": 4, "subject": 4, "detail": 2}));
}

/// A site whose mail goes to a connection of the policy's own.
fn to_lua(body: &str) -> Site {
    let mut site = patient(Site::new());
    site.queue += "protocol = { custom_lua = { constructor = 'make.own' } },";
    site.listener =
        "trace_headers = { received_header = false, supplemental_header = false },".into();
    site.extra = format!(
        "
kumo.on('smtp_server_message_received', function(msg) msg:set_meta('tenant', 'acme') end)
kumo.on('make.own', function(domain, tenant, campaign) {body} end)"
    );
    site
}

fn sends(body: &str) -> Site {
    to_lua(&format!("local c = {{}} function c:send(msg) {body} end return c"))
}

#[test]
fn what_a_connection_of_the_policys_own_comes_to() {
    let failed = |body: &str| failure(&sends(body));
    let record = failed("error('boom')");
    assert!(
        content(&record).starts_with(NOT_SENT) && content(&record).contains("boom"),
        "{record}"
    );
    assert!(!content(&record).contains('\n'), "{record}");
    assert_eq!(record["response"]["code"], 400);
    // Of what says nothing nobody knows whether it was delivered.
    let record = failed("msg:get_data()");
    let why = "error converting Lua nil to String (expected string or number)";
    assert!(content(&record).contains(why), "{record}");
    // The text of a rejection is the far side's, all of it.
    let record = failed("kumo.reject(450, '4.2.1 mailbox busy')");
    let said = json!({"code": 450, "enhanced_code": null, "content": "4.2.1 mailbox busy", "command": null});
    assert_eq!(record["response"], said);
}

#[test]
fn a_connection_of_the_policys_own_is_its_queues() {
    let site = sends("return domain .. ' ' .. tenant .. ' ' .. tostring(campaign)");
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("mine"));
    let record = site.wait_record("Delivery", |_| true);
    assert_eq!(record["site"], "unspecified->acme@dst.test@lua:make.own");
    let said = json!({"code": 200, "enhanced_code": null, "content": "dst.test acme nil", "command": null});
    assert_eq!((&record["response"], &record["delivery_protocol"]), (&said, &json!("Lua")));
    let peer = json!({"name": "Lua via make.own", "addr": "0.0.0.0"});
    assert_eq!(record["peer_address"], peer);
    drop(engine);
    let site = sends("return 4.5");
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("number"));
    assert_eq!(content(&site.wait_record("Delivery", |_| true)), "4.5");
    drop(engine);
}

#[test]
fn a_constructor_that_fails_bounces_nothing() {
    for (body, part) in [
        ("kumo.reject(550, 'no more')", "no more"),
        ("error('boom')", "boom"),
        ("return nil", "nil"),
    ] {
        let site = to_lua(body);
        let record = failure(&site);
        assert!(
            content(&record).starts_with(NO_HOST) && content(&record).contains(part),
            "{record}"
        );
        assert_eq!(
            (&record["response"]["code"], site.records_of("Bounce").len()),
            (&json!(400), 0)
        );
    }
}

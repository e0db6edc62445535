//! Delivery by the DNS, against a name server of the test's own.

use crate::support::dns::{a, cname, mx, txt, NameServer, Zone};
use crate::support::{message, Sink, Site};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::json;
use std::str::FromStr;

fn zones(name: &str, kind: RecordType) -> Zone {
    match (name, kind) {
        ("gone.test.", _) => Zone::code(ResponseCode::NXDomain),
        ("broken.test.", _) => Zone::code(ResponseCode::ServFail),
        ("null.test.", RecordType::MX) => Zone::of(vec![mx(0, ".")]),
        // The better host is down: the other one gets the mail.
        ("two.test.", RecordType::MX) => Zone::of(vec![mx(10, "down.test."), mx(20, "up.test.")]),
        ("down.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 9])]),
        ("up.test." | "bare.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 1])]),
        ("7.2.0.192.list.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 2])]),
        ("7.2.0.192.list.test.", RecordType::TXT) => Zone::of(vec![txt("a known nuisance")]),
        // More than one datagram holds.
        ("large.test.", RecordType::MX) => Zone::of(
            (10..310)
                .map(|at| mx(at, if at == 10 { "alias.test." } else { "down.test." }))
                .collect(),
        ),
        ("alias.test.", RecordType::A) => Zone {
            data: vec![cname("up.test.")],
            others: vec![("up.test.".into(), a([127, 0, 0, 1]))],
            code: None,
        },
        _ => Zone::default(),
    }
}

fn site(server: &NameServer, sink: &Sink) -> Site {
    let mut site = Site::new();
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}", server.addr);
    site.path = format!("smtp_port = {}, ip_lookup_strategy = 'Ipv4Only',", sink.addr.port());
    site.queue = "retry_interval = '1s', max_age = '1 hour',".into();
    site
}

#[test]
fn mail_goes_to_the_mx_and_to_the_next_one_when_the_first_is_down() {
    let (server, sink) = (NameServer::start(zones), Sink::start());
    let site = site(&server, &sink);
    let engine = site.start(1);
    for domain in ["two.test", "bare.test", "large.test"] {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message(domain));
    }
    sink.wait_messages(3);
    let record = |domain: &str| {
        let queue = domain.to_string();
        site.wait_record("Delivery", |r| r["queue"] == queue.as_str())
    };
    assert_eq!(record("two.test")["peer_address"]["name"], "up.test");
    assert_eq!(record("two.test")["site"], "unspecified->(down|up).test@smtp_client");
    assert_eq!(record("bare.test")["site"], "unspecified->bare.test@smtp_client");
    assert_eq!(record("large.test")["peer_address"]["name"], "alias.test");
}

#[test]
fn a_resolver_with_a_name_asks_its_own_servers_and_keeps_its_own_answers() {
    // The default resolver knows nothing of the list; mail goes by it.
    let (server, list, sink) = (NameServer::start(zones), NameServer::start(zones), Sink::start());
    let mut site = site(&server, &sink);
    site.init += &format!(
        " kumo.dns.define_resolver('list', {{ Hickory = {{ name_servers = {{ '{}' }}, options = {{ attempts = 1 }} }} }})
          kumo.dns.define_resolver('none', {{ Hickory = {{ name_servers = {{ '{}' }}, options = {{ cache_size = 0 }} }} }})",
        list.addr, list.addr,
    );
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  local with = msg:get_first_named_header_value 'Subject'
  local listed, why = kumo.dns.rbl_lookup('192.0.2.7', 'list.test', with)
  if listed then kumo.reject(550, '5.7.1 ' .. listed .. ' ' .. why) end
end)"
        .into();
    let engine = site.start(1);
    let refused = |with: &str| {
        let data = format!("Subject: {with}\r\n\r\nbody\r\n");
        let reply = engine.submit("a@src.test", &["u@bare.test"], data.as_bytes());
        assert_eq!(reply.code, 550, "{reply:?}");
        reply.text()
    };
    for _ in 0..3 {
        let answer = refused("list");
        assert!(answer.contains("127.0.0.2 a known nuisance"), "{answer}");
    }
    // An address and a text; the other times they were known.
    assert_eq!(list.questions(), 2);
    refused("none");
    refused("none");
    assert_eq!(list.questions(), 6);
    assert_eq!(server.questions(), 0);
    assert_eq!(sink.count(), 0);
}

#[test]
fn domains_that_take_no_mail_bounce_at_once() {
    let (server, sink) = (NameServer::start(zones), Sink::start());
    let site = site(&server, &sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@null.test"], &message("null"));
    engine.accept("a@src.test", &["u@gone.test"], &message("gone"));
    let null = site.wait_record("Bounce", |r| r["queue"] == "null.test");
    assert_eq!(null["response"]["code"], 556);
    assert_eq!(null["response"]["enhanced_code"]["detail"], 10);
    assert_eq!(null["site"], "unspecified->@smtp_client");
    // A name that does not exist may come into being: it is tried until the message expires.
    let gone = site.wait_record("TransientFailure", |r| r["queue"] == "gone.test");
    let said = &gone["response"];
    assert_eq!(
        (&said["code"], &said["content"]),
        (&451.into(), &"MX didn't resolve to any hosts".into())
    );
    assert_eq!(site.records_of("Bounce").len(), 1);
    drop(engine);
}

/// The addresses of a host that is `names` aliases away from them.
fn chain(names: usize) -> Zone {
    let name = |at: usize| format!("c{at}.chain.test.");
    let mut others: Vec<_> = (1..names).map(|at| (name(at), cname(&name(at + 1)))).collect();
    others.push((name(names), a([127, 0, 0, 1])));
    Zone { data: vec![cname(&name(1))], others, code: None }
}

#[test]
fn hosts_that_lead_nowhere_are_tried_again() {
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("hosts-gone.test.", RecordType::MX) => {
            Zone::of(vec![mx(10, "gone1.test."), mx(20, "gone2.test.")])
        }
        ("gone1.test." | "gone2.test.", _) => Zone::code(ResponseCode::NXDomain),
        ("winding.test.", RecordType::MX) => Zone::of(vec![mx(10, "winding-mx.test.")]),
        ("winding-mx.test.", RecordType::A) => chain(9),
        ("alias.test.", RecordType::MX) => Zone::of(vec![mx(10, "alias-mx.test.")]),
        ("alias-mx.test.", RecordType::A) => chain(8),
        _ => Zone::default(),
    });
    let sink = Sink::start();
    let site = site(&server, &sink);
    let engine = site.start(1);
    let nowhere = ["hosts-gone.test", "winding.test"];
    for domain in nowhere.into_iter().chain(["alias.test"]) {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message(domain));
    }
    assert_eq!(sink.wait_messages(1)[0].to, ["u@alias.test"]);
    for domain in nowhere {
        // It is tried more than once.
        let failed = site.wait_record("TransientFailure", |r| {
            r["queue"] == domain && r["num_attempts"].as_u64() >= Some(2)
        });
        let said = &failed["response"];
        assert_eq!(
            (&said["code"], &said["content"]),
            (&451.into(), &"MX didn't resolve to any hosts".into()),
            "{failed}"
        );
        let enhanced = &said["enhanced_code"];
        assert_eq!(
            [&enhanced["class"], &enhanced["subject"], &enhanced["detail"]],
            [&json!(4), &json!(4), &json!(4)],
            "{failed}"
        );
    }
    assert_eq!((sink.count(), site.records_of("Bounce").len()), (1, 0));
}

/// Names stay as they stand in the DNS, wherever a policy or a domain's own demands meet them.
#[test]
fn names_of_addresses_and_of_mta_sts_are_a_labels() {
    const HOST: &str = "mx.xn--mnchen-3ya.test.";
    let server = NameServer::start(|name, kind| match (name, kind) {
        ("7.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            Zone::of(vec![RData::PTR(PTR(Name::from_str(HOST).unwrap()))])
        }
        ("idn.test.", RecordType::MX) => Zone::of(vec![mx(10, HOST)]),
        ("mx.xn--mnchen-3ya.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 1])]),
        _ => Zone::default(),
    });
    let sink = Sink::start();
    let mut site = site(&server, &sink);
    let sts = "version: STSv1\\nmode: enforce\\nmx: *.xn--mnchen-3ya.test\\nmax_age: 60\\n";
    site.init += &format!(" kumo.dns.configure_test_mta_sts {{ ['idn.test'] = '{sts}' }}");
    site.path += " enable_mta_sts = true,";
    site.extra = "
kumo.on('smtp_server_message_received', function(msg)
  msg:append_header('X-Name', kumo.dns.lookup_ptr('192.0.2.7')[1])
end)"
        .into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@idn.test"], &message("idn"));
    // The policy names the host, so the demand that it makes of it is what fails.
    let failed = site.wait_record("TransientFailure", |_| true);
    let said = failed["response"]["content"].as_str().unwrap();
    assert!(said.contains("tls policy is Required but STARTTLS is not advertised"), "{said}");
    assert!(said.contains("mx.xn--mnchen-3ya.test"), "{said}");
    assert_eq!(failed["headers"]["X-Name"], HOST, "{failed}");
}

#[test]
fn a_failing_name_server_delays_and_answers_are_cached() {
    let (server, sink) = (NameServer::start(zones), Sink::start());
    let site = site(&server, &sink);
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@broken.test"], &message("broken"));
    let failed = site.wait_record("TransientFailure", |r| r["queue"] == "broken.test");
    assert_eq!(failed["response"]["code"], 451);
    engine.accept("a@src.test", &["u@bare.test"], &message("one"));
    sink.wait_messages(1);
    let asked = server.questions();
    for _ in 0..5 {
        engine.accept("a@src.test", &["u@bare.test"], &message("more"));
    }
    sink.wait_messages(6);
    // Only the broken domain may have been asked for again meanwhile.
    let again = server.questions() - asked;
    assert!(again <= 3, "{again} questions for answers that were in the cache");
}

#[test]
fn a_domain_that_demands_tls_gets_no_mail_in_clear() {
    let (server, sink) = (NameServer::start(zones), Sink::start());
    let mut site = site(&server, &sink);
    let policy = |mode: &str, host: &str| {
        format!("'version: STSv1\\nmode: {mode}\\nmx: {host}\\nmax_age: 60\\n'")
    };
    site.init += &format!(
        " kumo.dns.configure_test_mta_sts {{ ['bare.test'] = {}, ['two.test'] = {}, ['up.test'] = {} }}",
        policy("enforce", "bare.test"),
        policy("enforce", "elsewhere.test"),
        policy("testing", "elsewhere.test"),
    );
    // What the domain demands of its hosts holds when they are looked up; the path has a say in TLS only.
    site.path += " enable_mta_sts = routing_domain ~= 'two.test',";
    let engine = site.start(1);
    for domain in ["bare.test", "two.test", "up.test", "large.test"] {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message(domain));
    }
    let failed = |domain: &str| {
        let record = site.wait_record("TransientFailure", |r| r["queue"] == domain);
        (record["response"]["content"].as_str().unwrap().to_string(), record["site"].clone())
    };
    let (why, at) = failed("bare.test");
    assert!(why.contains("tls policy is Required but STARTTLS is not advertised"), "{why}");
    assert!(
        at.as_str().unwrap().starts_with("unspecified->bare.test@smtp_client+mta-sts:"),
        "{at}"
    );
    let (why, at) = failed("two.test");
    assert_eq!(at, "");
    assert!(why.starts_with("failed to resolve queue two.test: "), "{why}");
    assert!(why.contains("permits none of its MX hosts [\"down.test.\", \"up.test.\"]"), "{why}");
    // A policy that is only being tried out holds nothing up, nor does that of another domain.
    let to: Vec<_> = sink.wait_messages(2).into_iter().flat_map(|m| m.to).collect();
    assert!(to.contains(&"u@up.test".into()) && to.contains(&"u@large.test".into()), "{to:?}");
    assert_eq!(sink.count(), 2);
}

#[test]
fn localhost_needs_no_dns() {
    let sink = Sink::start();
    let mut site = Site::new();
    site.extra = format!(
        "kumo.on('get_queue_config', function()
  return kumo.make_queue_config {{ protocol = {{ smtp = {{ mx_list = {{ 'localhost:{}' }} }} }} }}
end)",
        sink.addr.port()
    );
    // The site's own handler knows no route.
    site.write_policy();
    let text = std::fs::read_to_string(site.policy_file()).unwrap();
    let (own, extra) = (text.find("kumo.on('get_queue_config'").unwrap(), site.extra.clone());
    let text = format!("{}{extra}\n{}", &text[..own], &text[own..]);
    std::fs::write(site.policy_file(), text).unwrap();
    let engine = site.start_as_it_is(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("hi"));
    sink.wait_messages(1);
}

/// As the system's own resolver has it, without a question to any name server.
#[test]
fn policy_finds_the_names_of_this_host() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = hosts.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: std::net::Ipv4Addr = words.next()?.parse().ok()?;
        Some((words.next()?.to_ascii_lowercase(), address.to_string()))
    });
    let named = names.find(|(name, _)| name != "localhost");
    let (name, address) = named.unwrap_or(("localhost".into(), "127.0.0.1".into()));
    let mut site = Site::new();
    site.init = "kumo.dns.configure_resolver { name_servers = { '127.0.0.1:9' } }".into();
    site.extra = format!(
        "kumo.on('smtp_server_ehlo', function()
  local found = {{}}
  for _, name in ipairs {{ 'localhost', '{name}' }} do
    table.insert(found, table.concat(kumo.dns.lookup_addr(name), ' '))
  end
  kumo.reject(550, table.concat(found, ' and '))
end)"
    );
    let engine = site.start(1);
    let said = engine.client().command("EHLO client.test");
    assert_eq!(said.code, 550);
    let said = said.text();
    let (own, other) = said.split_once(" and ").expect("both");
    assert!(own.contains("127.0.0.1"), "{own}");
    assert!(other.contains(&address), "{name} is {address}: {other}");
}

/// Whatever is asked for that only chooses an implementation, mail goes on.
#[test]
fn what_only_picks_an_implementation_holds_up_no_mail() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "tls_prefer_openssl = true,".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("hi"));
    sink.wait_messages(1);
}

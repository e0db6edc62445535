//! `ringmta check`, its questions to the DNS and its way out: a line for each thing, good or bad, and what to do.

use crate::support::dns::{a, mx, txt, NameServer, Zone};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{Name, RData, RecordType};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::str::FromStr;

fn ptr(name: &str) -> RData {
    RData::PTR(PTR(Name::from_str(name).unwrap()))
}

fn zones(name: &str, kind: RecordType) -> Zone {
    match (name, kind) {
        ("to.test.", RecordType::MX) => Zone::of(vec![mx(20, "worse.test."), mx(10, "mx.test.")]),
        ("mx.test." | "bare.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 1])]),
        ("mta.good.test.", RecordType::A) => Zone::of(vec![a([192, 0, 2, 1])]),
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => Zone::of(vec![ptr("MTA.good.test.")]),
        ("9.2.0.192.in-addr.arpa.", RecordType::PTR) => Zone::of(vec![ptr("host-9.isp.test.")]),
        ("mta.bad.test.", RecordType::A) => Zone::of(vec![a([192, 0, 2, 7])]),
        ("bare.test.", _) => Zone::default(),
        // More than one datagram holds: it is asked for over TCP.
        ("good.test.", RecordType::TXT) => {
            let mut all: Vec<RData> = (0..30).map(|n| txt(&format!("{n:0>200}"))).collect();
            all.push(txt("v=spf1 ip4:192.0.2.1 -all"));
            Zone::of(all)
        }
        ("s1._domainkey.good.test.", RecordType::TXT) => {
            Zone::of(vec![txt("v=DKIM1; k=rsa; p=MIIB")])
        }
        ("_dmarc.good.test.", RecordType::TXT) => Zone::of(vec![txt("v=DMARC1; p=reject")]),
        ("bad.test.", RecordType::TXT) => {
            Zone::of(vec![txt("v=spf1 -all"), txt("v=spf1 mx -all"), txt("v=spf10")])
        }
        ("s1._domainkey.bad.test.", RecordType::TXT) => Zone::of(vec![txt("v=DKIM1; p=")]),
        ("_dmarc.bad.test.", RecordType::TXT) => {
            Zone::of(vec![txt("v=DMARC1; p=none"), txt("v=DMARC1; p=reject")])
        }
        ("s1._domainkey.odd.test.", RecordType::TXT) => Zone::of(vec![txt("v=DKIM1; k=rsa")]),
        (name, _) if name.ends_with("broken.test.") => Zone::code(ResponseCode::ServFail),
        _ => Zone::code(ResponseCode::NXDomain),
    }
}

/// A mail server that greets so, on a port that is free.
fn greeter(greeting: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(greeting.as_bytes()).unwrap();
        }
    });
    port
}

/// The lines of a check with these arguments, a cure behind its finding, and the exit code.
fn check(args: &str) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.arg("check").args(args.split_whitespace()).env_remove("RINGMTA_POLICY");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace("\n        -> ", " -> ");
    (text, output.status.code())
}

fn assert_lines(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.lines().any(|one| one == *line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn all_that_is_right_in_the_dns_is_told() {
    let server = NameServer::start(zones);
    let resolver = server.addr.to_string();
    let port = greeter("220 mx.test ESMTP\r\n");
    let (said, _) = check(&format!(
        "--resolver {resolver} --to to.test --port {port} --helo mta.good.test \
         --address 192.0.2.1 --domain good.test --domain news.good.test --selector s1"
    ));
    assert!(said.contains("ok    dns: MX of to.test in "), "{said}");
    let way_out = format!("ok    port {port} out: mx.test says 220 mx.test ESMTP");
    assert_lines(
        &said,
        &[
            &way_out,
            "ok    EHLO name: mta.good.test leads to 192.0.2.1",
            "ok    PTR: 192.0.2.1 is called mta.good.test",
            "ok    SPF of good.test: v=spf1 ip4:192.0.2.1 -all",
            "ok    DKIM of good.test: s1._domainkey.good.test holds a key",
            "ok    DMARC of good.test: v=DMARC1; p=reject",
            "ok    DMARC of news.good.test: v=DMARC1; p=reject (of _dmarc.good.test)",
        ],
    );
}

#[test]
fn all_that_is_wrong_in_the_dns_has_its_cure() {
    let server = NameServer::start(zones);
    let resolver = server.addr.to_string();
    let port = greeter("554 5.7.1 you are on a list\r\n");
    let (said, code) = check(&format!("--resolver {resolver} --to bare.test --port {port} --helo mta.bad.test \
         --address 192.0.2.9 --domain bad.test --domain none.test --domain odd.test --domain broken.test --selector s1"));
    let way_out = format!(
        "LOOK  port {port} out: bare.test says 554 5.7.1 you are on a list -> it does not want this address: see what it \
         says, and lists of blocked addresses"
    );
    assert_lines(
        &said,
        &[
            &way_out,
            "LOOK  EHLO name: mta.bad.test does not lead to 192.0.2.9 -> publish mta.bad.test. IN A 192.0.2.9",
            "LOOK  PTR: 192.0.2.9 is called host-9.isp.test, not mta.bad.test -> ask whoever gave you 192.0.2.9 to set its \
             PTR record to mta.bad.test",
            "BAD   SPF of bad.test: there are 2: then none counts (RFC 7208 section 4.5) -> make one of them",
            "BAD   DKIM of bad.test: s1._domainkey.bad.test: this key was withdrawn -> publish the new one",
            "BAD   DMARC of bad.test: _dmarc.bad.test has 2: then none counts -> leave one",
            "BAD   SPF of none.test: there is none: large receivers refuse or hide such mail -> publish none.test. IN TXT \
             \"v=spf1 ip4:192.0.2.9 -all\"",
            "BAD   DKIM of none.test: s1._domainkey.none.test: no such domain -> publish the record that `ringmta init` \
             has printed, or name another with --selector",
            "LOOK  DMARC of none.test: there is none, nor one of a domain above it: large receivers ask for one -> publish \
             _dmarc.none.test. IN TXT \"v=DMARC1; p=none\"",
            "BAD   DKIM of odd.test: s1._domainkey.odd.test holds no key (p=) -> publish it again",
        ],
    );
    // What a name server cannot say now is not held against the domain.
    for what in ["SPF", "DKIM", "DMARC"] {
        let line = |one: &&str| one.starts_with(&format!("LOOK  {what} of broken.test: "));
        let line = said.lines().find(line).unwrap_or_else(|| panic!("{what}: {said}"));
        assert!(line.contains("Server Failure") && line.ends_with("-> ask again later"), "{line}");
    }
    assert_eq!(code, Some(1));
}

#[test]
fn a_host_without_names_is_told() {
    let server = NameServer::start(zones);
    let resolver = server.addr;
    let (said, _) =
        check(&format!("--resolver {resolver} --to nowhere.test --helo bare --address 192.0.2.8"));
    assert_lines(
        &said,
        &[
            "BAD   dns: MX of nowhere.test: no such domain -> name another with --to",
            "LOOK  EHLO name: \"bare\" has no domain: many receivers refuse it -> give the host a full name (hostnamectl), \
             or sources an `ehlo_domain`, and tell it here with --helo",
            "BAD   PTR: 192.0.2.8: no such domain: large receivers refuse such mail -> ask whoever gave you 192.0.2.8 to \
             set its PTR record to bare",
        ],
    );
}

#[test]
fn nobody_answers() {
    // A port that was free a moment ago.
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = held.local_addr().unwrap().to_string();
    drop(held);
    let (said, code) = check(&format!("--resolver {resolver} --to to.test --address 10.0.0.1"));
    let line = said.lines().find(|line| line.starts_with("BAD   dns: MX of to.test: "));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains(&resolver) && line.contains("(--resolver)"), "{line}");
    assert!(said.contains("LOOK  PTR: 10.0.0.1 is an address of a private network"), "{said}");
    assert_eq!(code, Some(1));
    let (_, code) = check("--resolver dns.example.com");
    assert_eq!(code, Some(2));
}

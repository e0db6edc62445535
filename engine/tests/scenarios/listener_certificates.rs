//! Certificates of listeners that are renewed while the engine runs.

use crate::support::tls::Ca;
use crate::support::{wait, Engine, Site, Smtp};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::net::SocketAddr;

fn of_smtp(engine: &Engine) -> CertificateDer<'static> {
    let mut client = engine.greeted();
    client.expect(220, "STARTTLS");
    client.start_tls();
    client.certificate()
}

fn of_https(addr: SocketAddr) -> CertificateDer<'static> {
    let mut client = Smtp::connect(addr);
    client.start_tls();
    client.certificate()
}

#[test]
fn a_file_that_changes_comes_in_force_and_a_broken_one_does_not() {
    let ca = Ca::new();
    let mut site = Site::new();
    let first = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    let dir = site.dir().display().to_string();
    let files = format!("tls_certificate = '{dir}/mx.pem', tls_private_key = '{dir}/mx.key',");
    site.listener = files.clone();
    site.init =
        format!("kumo.start_http_listener {{ listen = '127.0.0.1:0', use_tls = true, {files} }}");
    let engine = site.start(2);
    let mut https = engine.stderr().into_iter().filter(|l| l.starts_with("http listener on "));
    let https: SocketAddr = https.next_back().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert_ne!(https, engine.http);
    assert_eq!([of_smtp(&engine), of_https(https)], [first.clone(), first.clone()]);
    // A session that is open stays.
    let mut open = engine.greeted();
    open.expect(220, "STARTTLS");
    open.start_tls();

    std::fs::write(site.dir().join("mx.pem"), "no certificate at all\n").unwrap();
    wait("a failed load", || engine.metric("tls_certificate_failed_total") > 0.0);
    engine.wait_says("the TLS certificate in force stays, the new one cannot be used: ");
    assert_eq!([of_smtp(&engine), of_https(https)], [first.clone(), first]);

    let second = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    wait("the new certificate", || of_smtp(&engine) == second && of_https(https) == second);
    // Both listeners.
    assert_eq!(engine.metric("tls_certificate_renewed_total"), 2.0);
    open.expect(250, "EHLO still.test");
}

/// An engine whose certificate comes out of an event, so that no change of a file tells of another.
fn by_event(ca: &Ca) -> (Site, CertificateDer<'static>) {
    let mut site = Site::new();
    let first = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    site.listener = "tls_certificate = { event_name = 'read', event_args = { 'mx.pem' } },
        tls_private_key = { event_name = 'read', event_args = { 'mx.key' } },"
        .into();
    site.extra = format!(
        "kumo.on('read', function(name)
  local file <close> = assert(io.open('{}/' .. name))
  return file:read 'a'
end)",
        site.dir().display()
    );
    (site, first)
}

#[test]
fn a_hangup_reads_what_no_file_tells_of() {
    let ca = Ca::new();
    let (site, first) = by_event(&ca);
    let engine = site.start(2);
    assert_eq!(of_smtp(&engine), first);
    let second = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    assert_eq!(of_smtp(&engine), first);
    engine.signal("HUP");
    wait("the new certificate", || of_smtp(&engine) == second);
}

#[test]
fn a_reload_reads_what_no_file_tells_of() {
    let ca = Ca::new();
    let (site, first) = by_event(&ca);
    let engine = site.start(1);
    assert_eq!(of_smtp(&engine), first);
    let second = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    assert_eq!(of_smtp(&engine), first);
    let answer = engine.post("/api/admin/reload/v1", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(of_smtp(&engine), second);
    // A policy that is refused holds up no certificate.
    let third = ca.write_issued(site.dir(), "mx", "mx.engine.test");
    std::fs::write(site.policy_file(), "this is no Lua").unwrap();
    assert_ne!(engine.post("/api/admin/reload/v1", &json!({})).status, 200);
    assert_eq!(of_smtp(&engine), third);
}

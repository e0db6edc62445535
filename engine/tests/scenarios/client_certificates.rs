//! Certificates of clients: demanded by a listener, shown to a next hop; and cipher suites.

use crate::support::{message, program, Sink, Site};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a CA, a certificate of it for `CN=client one`, and a stranger's certificate.
fn certificates(dir: &Path) {
    let named = |name: &str| {
        let mut params =
            CertificateParams::new(vec![format!("{}.test", name.replace(' ', "-"))]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Engine Test");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    let mut ca = named("ca");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    write("ca.pem", ca.pem());
    let key = KeyPair::generate().unwrap();
    write("client.pem", named("client one").signed_by(&key, &ca).unwrap().pem());
    write("client.key", key.serialize_pem());
    let key = KeyPair::generate().unwrap();
    write("stranger.pem", named("stranger").self_signed(&key).unwrap().pem());
    write("stranger.key", key.serialize_pem());
}

/// An engine that relays to `sink` for clients of the CA; their subject becomes a header.
fn demanding(sink: &Sink) -> Site {
    let mut site = Site::to(sink.addr);
    certificates(site.dir());
    site.listener = format!("tls_required_client_ca = '{}/ca.pem',", site.dir().display());
    site.extra = "
kumo.on('smtp_server_message_received', function(msg, conn)
  local subject = conn:get_meta 'tls_peer_subject_name'
  if not subject then kumo.reject(550, '5.7.1 no certificate') end
  msg:prepend_header('X-Subject', table.concat(subject, '/'))
  msg:prepend_header('X-Cipher', conn:get_meta 'tls_cipher')
end)"
        .into();
    site
}

#[test]
fn a_path_shows_its_certificate_and_offers_its_suites() {
    let sink = Sink::start();
    let far_site = demanding(&sink);
    let far = far_site.start(1);
    let mut site = Site::to(far.smtp);
    let dir = far_site.dir().display();
    site.path = format!(
        "enable_tls = 'RequiredInsecure', tls_certificate = '{dir}/client.pem', tls_private_key = '{dir}/client.key',
         rustls_cipher_suites = {{ 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256' }},"
    );
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("shown"));
    let data = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(data.contains("X-Subject: O=Engine Test/CN=client one\r\n"), "{data}");
    assert!(data.contains("X-Cipher: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\r\n"), "{data}");
    engine.wait_empty();
    // Both sides tell of TLS, and of whom the other one showed itself to be.
    let came = far_site.wait_record("Reception", |_| true);
    let subject = serde_json::json!(["O=Engine Test", "CN=client one"]);
    assert_eq!(came["tls_peer_subject_name"], subject, "{came}");
    let left = site.wait_record("Delivery", |_| true);
    assert!(left["tls_peer_subject_name"][0].is_string(), "{left}");
    for record in [came, left] {
        assert_eq!(record["tls_cipher"], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        assert!(record["tls_protocol_version"].as_str().unwrap().starts_with("TLS"), "{record}");
    }
    let clear = site.wait_record("Reception", |_| true);
    assert!(clear["tls_cipher"].is_null() && clear["tls_peer_subject_name"].is_null(), "{clear}");
}

#[test]
fn without_a_certificate_of_the_ca_there_is_no_tls() {
    let sink = Sink::start();
    let far_site = demanding(&sink);
    let far = far_site.start(1);
    let dir = far_site.dir().display();
    let stranger =
        format!("tls_certificate = '{dir}/stranger.pem', tls_private_key = '{dir}/stranger.key',");
    let missing = format!("tls_certificate = '{dir}/no.pem', tls_private_key = '{dir}/no.key',");
    for certificate in [String::new(), stranger, missing] {
        let mut site = Site::to(far.smtp);
        site.path = format!("enable_tls = 'RequiredInsecure', {certificate}");
        let engine = site.start(1);
        engine.accept("a@src.test", &["u@dst.test"], &message("refused"));
        let record = site.wait_record("TransientFailure", |_| true);
        let text = record["response"]["content"].as_str().unwrap();
        assert_eq!(text.contains("tls_certificate"), certificate.contains("no.pem"), "{text}");
    }
    assert_eq!(sink.count(), 0);
}

#[test]
fn openssl_is_let_in_with_its_certificate() {
    let Some(openssl) = program("openssl") else { return };
    let sink = Sink::start();
    let site = demanding(&sink);
    let engine = site.start(1);
    let dir = site.dir();
    for (name, good) in [("client", true), ("stranger", false)] {
        let mut child = Command::new(&openssl)
            .args(["s_client", "-starttls", "smtp", "-quiet", "-crlf", "-connect"])
            .arg(engine.smtp.to_string())
            .arg("-cert")
            .arg(dir.join(format!("{name}.pem")))
            .arg("-key")
            .arg(dir.join(format!("{name}.key")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let _ = input.write_all(b"EHLO openssl.test\nMAIL FROM:<a@src.test>\n");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeted = lines.map_while(Result::ok).any(|line| line.starts_with("250 2.1.0"));
        assert_eq!(greeted, good, "{name}");
        let _ = child.kill();
        let _ = child.wait();
    }
}

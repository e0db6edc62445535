//! Redis, NATS and AMQP inside TLS: authorities of our own, certificates on both sides, and what is said when they do not fit.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::test_peers::{peer, Peer};
use crate::testing::*;

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// `ca.pem`, `server.pem`, `client.pem` with their keys, and `other.pem`, an authority that signed none of them.
fn files(dir: &Path) {
    let authority = |name: &str| {
        let mut ca = params(name, &[]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = ca.self_signed(&key).unwrap().pem();
        (Issuer::new(ca, key), pem)
    };
    let (issuer, ca) = authority("ours");
    std::fs::write(dir.join("ca.pem"), ca).unwrap();
    std::fs::write(dir.join("other.pem"), authority("another").1).unwrap();
    std::fs::write(dir.join("empty.pem"), "").unwrap();
    for (name, hosts) in [("server", &["localhost", "127.0.0.1"][..]), ("client", &["client"])] {
        let key = KeyPair::generate().unwrap();
        let cert = params(name, hosts).signed_by(&key, &issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn path(dir: &Path, file: &str) -> String {
    dir.join(file).display().to_string()
}

/// A server's side that wants a certificate of the client.
fn server_config(dir: &Path) -> Arc<ServerConfig> {
    let pem = |file: &str| std::fs::read(dir.join(file)).unwrap();
    let certs = |file: &str| -> Vec<_> {
        CertificateDer::pem_slice_iter(&pem(file)).map(|c| c.unwrap()).collect()
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certs("ca.pem").remove(0)).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let key = PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(certs("server.pem"), key)
        .unwrap();
    Arc::new(config)
}

/// Serves each connection, inside TLS from its first byte, on a thread of its own.
fn stand_in<F>(dir: &Path, serve: F) -> u16
where
    F: Fn(StreamOwned<ServerConnection, TcpStream>) + Clone + Send + 'static,
{
    let config = server_config(dir);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let (config, serve) = (config.clone(), serve.clone());
            std::thread::spawn(move || {
                serve(StreamOwned::new(ServerConnection::new(config).unwrap(), tcp));
            });
        }
    });
    port
}

/// Runs `open(more)`, a Lua call that connects and asks something, with the files that fit and with such that do not.
fn fits_and_does_not(dir: &Path, names: [&str; 3], open: impl Fn(&str) -> String, good: &str) {
    let [ca, cert, key] = names;
    let mine = |authority: &str| {
        format!(
            "{ca} = '{}', {cert} = '{}', {key} = '{}'",
            path(dir, authority),
            path(dir, "client.pem"),
            path(dir, "client.key")
        )
    };
    assert_eq!(eval(&open(&mine("ca.pem"))), json!(good));
    let client =
        format!("{cert} = '{}', {key} = '{}'", path(dir, "client.pem"), path(dir, "client.key"));
    for (more, says) in [
        (mine("other.pem"), "UnknownIssuer"),
        (client, "UnknownIssuer"),
        // The server hangs up; its alert may or may not come before that.
        (format!("{ca} = '{}'", path(dir, "ca.pem")), ""),
        (mine("none.pem"), "none.pem: No such file"),
        (format!("{cert} = '{}'", path(dir, "client.pem")), "must be given together"),
    ] {
        let e = eval_err(&open(&more));
        assert!(e.contains(says), "{more}: {e}");
    }
}

#[test]
fn redis_with_certificates_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let file = |name: &str| path(dir.path(), name);
    let started = peer(&["redis-server"], |port| {
        let (port, folder) = (port.to_string(), dir.path().display().to_string());
        let args = ["--port", "0", "--tls-port", &port, "--bind", "127.0.0.1", "--save", ""];
        let mut args = args.map(str::to_owned).to_vec();
        args.extend(["--dir".to_owned(), folder]);
        for (option, name) in [
            ("--tls-cert-file", "server.pem"),
            ("--tls-key-file", "server.key"),
            ("--tls-ca-cert-file", "ca.pem"),
        ] {
            args.extend([option.to_owned(), file(name)]);
        }
        args
    });
    let Some(Peer { port, .. }) = &started else { return };
    let open = |more: &str| {
        format!(
            "local c = require('redis').open {{ node = 'rediss://localhost:{port}/', {more} }}
             return c:query('PING')"
        )
    };
    fits_and_does_not(
        dir.path(),
        ["root_ca_cert", "client_cert", "client_private_key"],
        open,
        "PONG",
    );
}

#[test]
fn nats_with_certificates_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let started = peer(&["nats-server", "/usr/sbin/nats-server"], |port| {
        let mut args: Vec<String> = ["-a", "127.0.0.1", "-p"].map(str::to_owned).to_vec();
        args.extend([port.to_string(), "--tlsverify".to_owned()]);
        for (option, name) in
            [("--tlscert", "server.pem"), ("--tlskey", "server.key"), ("--tlscacert", "ca.pem")]
        {
            args.extend([option.to_owned(), path(dir.path(), name)]);
        }
        args
    });
    let Some(Peer { port, .. }) = &started else { return };
    // The server says that it wants TLS; saying so too is as good.
    for asked in ["", "tls_required = true,"] {
        let open = |more: &str| {
            format!(
                "local c = kumo.nats.connect {{ servers = {{ 'localhost:{port}' }}, {asked} {more} }}
                 c:publish {{ subject = 's', payload = ('x'):rep(100000) }}
                 return 'published'"
            )
        };
        let names = ["certificate", "client_cert", "client_key"];
        fits_and_does_not(dir.path(), names, open, "published");
    }
}

/// A NATS server that begins with TLS.
fn nats(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let hello = b"INFO {\"tls_required\":true}\r\n";
    if stream.write_all(hello).and_then(|()| stream.flush()).is_err() {
        return;
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
        if line == "PING\r\n" {
            let _ = stream.get_mut().write_all(b"PONG\r\n");
        }
        line.clear();
    }
}

#[test]
fn nats_that_begins_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let port = stand_in(dir.path(), nats);
    let open = |more: &str| {
        format!(
            "local c = kumo.nats.connect {{ servers = {{ 'nats://127.0.0.1:{port}' }}, tls_first = true, {more} }}
             c:publish {{ subject = 's', payload = 'x' }}
             return 'published'"
        )
    };
    fits_and_does_not(dir.path(), ["certificate", "client_cert", "client_key"], open, "published");
}

#[test]
fn a_server_without_tls_is_not_used_when_tls_is_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut tcp in listener.incoming().flatten() {
            let _ = tcp.write_all(b"INFO {}\r\n");
            kept.push(tcp);
        }
    });
    for how in
        ["servers = {'127.0.0.1:PORT'}, tls_required = true", "servers = {'tls://127.0.0.1:PORT'}"]
    {
        let e =
            eval_err(&format!("kumo.nats.connect {{ {how} }}").replace("PORT", &port.to_string()));
        assert!(e.contains("the server has no TLS"), "{how}: {e}");
    }
}

#[test]
fn amqp_with_certificates_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let (seen, published) = std::sync::mpsc::channel();
    let port = stand_in(dir.path(), move |stream| {
        crate::families::amqp::stand_in::serve(stream, &seen);
    });
    let open = |more: &str| {
        format!(
            "kumo.amqp.basic_publish {{ routing_key = 'q', payload = ('x'):rep(300000),
               connection = {{ host = 'localhost', port = {port}, enable_tls = true, {more} }} }}
             return 'published'"
        )
    };
    fits_and_does_not(
        dir.path(),
        ["root_ca_cert", "client_cert", "client_private_key"],
        open,
        "published",
    );
    assert_eq!(published.recv().unwrap().len(), 300_000);
}

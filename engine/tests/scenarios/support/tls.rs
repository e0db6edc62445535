//! Certificates of a test's own authority, and what a server shows.

use super::PATIENCE;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// An authority.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new() -> Ca {
        let mut params = CertificateParams::new(vec!["ca.test".to_string()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.0.pem()).unwrap();
    }

    /// A certificate for `name` and its key, in DER.
    pub fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap().der().clone();
        (cert, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    /// Writes `NAME.pem` and `NAME.key` for `host` into a folder; gives the certificate in DER.
    pub fn write_issued(&self, dir: &Path, name: &str, host: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_string()]).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        // By rename, as tools do that renew certificates: nobody reads half a file.
        for (end, text) in [("pem", cert.pem()), ("key", key.serialize_pem())] {
            let fresh = dir.join(format!("{name}.{end}.new"));
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(&fresh, dir.join(format!("{name}.{end}"))).unwrap();
        }
        cert.der().clone()
    }
}

/// Serves one text over HTTPS, whatever is asked. It ends with the process.
pub struct HttpsText {
    requests: Arc<AtomicUsize>,
}

impl HttpsText {
    /// On port 443 of some loopback address; `None`, told, where that port is not for us.
    pub fn start(ca: &Ca, host: &str, text: &'static str) -> Option<(HttpsText, SocketAddr)> {
        let listener = loop {
            let [a, b, c, _] = std::process::id().wrapping_mul(2_654_435_761).to_be_bytes();
            let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos() as u8;
            match TcpListener::bind(SocketAddr::from(([127, a ^ c, b, nanos | 2], 443))) {
                Ok(listener) => break listener,
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    println!("skipped: port 443 cannot be had: {error}");
                    return None;
                }
            }
        };
        let addr = listener.local_addr().unwrap();
        let (cert, key) = ca.issue(host);
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![cert], key).unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let config = config.clone();
                let counted = counted.clone();
                std::thread::spawn(move || {
                    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
                    let tls = ServerConnection::new(config).unwrap();
                    let mut stream = StreamOwned::new(tls, tcp);
                    let mut head = Vec::new();
                    let mut chunk = [0; 1024];
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read(&mut chunk) {
                            Ok(count) if count > 0 => head.extend_from_slice(&chunk[..count]),
                            _ => return,
                        }
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    let length = text.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                         Connection: close\r\n\r\n{text}"
                    );
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Some((HttpsText { requests }, addr))
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

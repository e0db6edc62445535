//! A blocking connection whose every wait ends at a deadline, with or without TLS. For helper threads.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::limits::MAX_PEM_FILE_BYTES;

/// A socket that gives up when the time is over, however slowly bytes come.
pub(crate) struct Timed {
    tcp: TcpStream,
    until: Instant,
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(late()),
            left => Ok(Some(left)),
        }
    }
}

/// A socket's own timeout has another name than ours.
fn named(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => e,
    }
}

impl Read for Timed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        self.tcp.read(buf).map_err(named)
    }
}

impl Write for Timed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        self.tcp.write(buf).map_err(named)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// A connection.
pub(crate) enum Wire {
    /// As it is.
    Clear(Timed),
    /// Inside TLS.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Wire {
    /// Connects to the first address of a name that answers.
    ///
    /// # Errors
    /// What the last address said.
    pub fn connect(host: &str, port: u16, until: Instant) -> Result<Wire, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut last = "the name has no address".to_owned();
        for address in (bare, port).to_socket_addrs().map_err(|e| e.to_string())? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late().to_string());
            }
            let made = TcpStream::connect_timeout(&address, left);
            match made.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
                Ok(tcp) => return Ok(Wire::Clear(Timed { tcp, until })),
                Err(e) => last = named(e).to_string(),
            }
        }
        Err(last)
    }

    /// All that follows ends by then.
    pub fn set_deadline(&mut self, until: Instant) {
        match self {
            Wire::Clear(c) => c.until = until,
            Wire::Tls(t) => t.sock.until = until,
        }
    }

    /// Goes on inside TLS; the server's certificate must be good for `host`.
    ///
    /// # Errors
    /// What is wrong with a file or with the server's certificate.
    pub fn secure(self, host: &str, files: &TlsFiles) -> Result<Wire, String> {
        let Wire::Clear(clear) = self else { return Ok(self) };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare);
        let name = name.map_err(|_| format!("TLS: `{host}` is not a server name"))?;
        let made = ClientConnection::new(files.config()?, name);
        let made = made.map_err(|e| format!("TLS: {e}"))?;
        let mut tls = StreamOwned::new(made, clear);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).map_err(|e| format!("TLS: {e}"))?;
        }
        Ok(Wire::Tls(Box::new(tls)))
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Clear(c) => c.read(buf),
            Wire::Tls(t) => t.read(buf),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Clear(c) => c.write(buf),
            Wire::Tls(t) => t.write(buf),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Clear(c) => c.flush(),
            Wire::Tls(t) => t.flush(),
        }
    }
}

/// Paths of PEM files for TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Certificates of the authorities that are believed; those of the system when there is none.
    pub authority: Option<String>,
    /// The client's certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
}

impl TlsFiles {
    /// Reads them.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let roots = match &self.authority {
            None => crate::net::trust::roots(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(path)? {
                    roots.add(cert).map_err(|e| format!("{path}: {e}"))?;
                }
                Arc::new(roots)
            }
        };
        let config = ClientConfig::builder_with_provider(crate::net::trust::crypto())
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_root_certificates(roots);
        let config = match (&self.cert, &self.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(cert), Some(key)) => config
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|e| format!("{cert}: {e}"))?,
            _ => return Err("a client's certificate and its key must be given together".into()),
        };
        Ok(Arc::new(config))
    }
}

/// A whole PEM file.
pub(crate) fn read_pem(path: &str) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| format!("{path}: {e}"))?;
    let read = file.take(MAX_PEM_FILE_BYTES + 1).read_to_end(&mut pem);
    match read.map_err(|e| format!("{path}: {e}"))? as u64 {
        n if n > MAX_PEM_FILE_BYTES => Err(format!("{path}: is too large for a PEM file")),
        _ => Ok(pem),
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(&read_pem(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("{path}: {e}"))?;
    match found.is_empty() {
        true => Err(format!("{path}: holds no certificate")),
        false => Ok(found),
    }
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read_pem(path)?).map_err(|e| match e {
        pem::Error::NoItemsFound => format!("{path}: holds no key"),
        e => format!("{path}: {e}"),
    })
}

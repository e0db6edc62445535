//! A client that sends what it is told, whether that is SMTP or not.

use super::PATIENCE;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

/// A reply, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code; 0 when the server closed the connection instead.
    pub code: u16,
    /// The text of its lines.
    pub lines: Vec<String>,
}

impl Reply {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Code and enhanced code, such as `550 5.7.1`.
    pub fn codes(&self) -> String {
        let text = self.text();
        format!("{} {}", self.code, text.split_whitespace().next().unwrap_or(""))
    }

    /// Whether a line is `keyword`, or begins with it and a blank.
    pub fn offers(&self, keyword: &str) -> bool {
        let words = |line: &String| line.split(' ').next().map(str::to_ascii_uppercase);
        self.lines.iter().any(|line| line == keyword || words(line).as_deref() == Some(keyword))
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
            Wire::Gone => panic!("the connection was given away"),
        }
    }
}

/// A connection to an SMTP server.
pub struct Smtp {
    wire: Wire,
    read: Vec<u8>,
}

impl Smtp {
    pub fn connect(to: SocketAddr) -> Smtp {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Smtp { wire: Wire::Plain(stream), read: Vec::new() }
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes.as_ref()),
            Wire::Tls(stream) => {
                stream.write_all(bytes.as_ref())?;
                stream.flush()
            }
            Wire::Gone => panic!("the connection was given away"),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Ends our half of the connection.
    pub fn half_close(&mut self) {
        self.wire.tcp().shutdown(Shutdown::Write).unwrap();
    }

    /// Reads more; `false` at the end of the stream. A reset is an end too.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let result = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut chunk),
            Wire::Tls(stream) => stream.read(&mut chunk),
            Wire::Gone => panic!("the connection was given away"),
        };
        match result {
            Ok(count) => {
                self.read.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => panic!("no reply: {error}; so far: {:?}", self.read),
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let rest = self.read.split_off(end + 2);
                let line = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if !self.fill() {
                assert!(self.read.is_empty(), "cut short: {:?}", self.read);
                return None;
            }
        }
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        loop {
            let Some(line) = self.line() else {
                assert!(reply.lines.is_empty(), "cut short: {reply:?}");
                return reply;
            };
            assert!(line.len() >= 4 && line.is_char_boundary(4), "no reply: {line:?}");
            let code = line[..3].parse().unwrap_or_else(|_| panic!("no reply: {line:?}"));
            assert!(reply.code == 0 || reply.code == code, "{reply:?} then {line:?}");
            reply.code = code;
            reply.lines.push(line[4..].to_string());
            if line.as_bytes()[3] == b' ' {
                return reply;
            }
            assert_eq!(line.as_bytes()[3], b'-', "{line:?}");
        }
    }

    /// Sends a line and reads the reply.
    pub fn command(&mut self, line: impl AsRef<[u8]>) -> Reply {
        let mut bytes = line.as_ref().to_vec();
        bytes.extend_from_slice(b"\r\n");
        self.send(bytes);
        self.reply()
    }

    /// The same; the reply must have this code.
    pub fn expect(&mut self, code: u16, line: &str) -> Reply {
        let reply = self.command(line);
        assert_eq!(reply.code, code, "{line} was answered {reply:?}");
        reply
    }

    /// The server must close now, without another word.
    pub fn expect_closed(&mut self) {
        let reply = self.reply();
        assert_eq!(reply.code, 0, "expected the end, got {reply:?}");
    }

    /// MAIL and RCPTs, all of which must be accepted, and DATA.
    pub fn envelope(&mut self, from: &str, to: &[&str]) {
        self.expect(250, &format!("MAIL FROM:<{from}>"));
        for recipient in to {
            self.expect(250, &format!("RCPT TO:<{recipient}>"));
        }
        self.expect(354, "DATA");
    }

    /// One message of whole lines, dots stuffed here. Gives back the reply to its dot.
    pub fn transaction(&mut self, from: &str, to: &[&str], data: &[u8]) -> Reply {
        self.envelope(from, to);
        self.send(stuffed(data));
        self.reply()
    }

    /// Does the handshake after a 220 to STARTTLS. Takes any certificate.
    pub fn start_tls(&mut self) {
        assert!(self.read.is_empty(), "left in clear: {:?}", self.read);
        let Wire::Plain(mut stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            panic!("TLS is on already");
        };
        let config = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        let name = ServerName::try_from("mx.engine.test").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).unwrap();
        }
        self.wire = Wire::Tls(Box::new(StreamOwned::new(tls, stream)));
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let Wire::Tls(stream) = &self.wire else { panic!("TLS is not on") };
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

/// `data` as it goes over the wire, with the final dot.
pub fn stuffed(data: &[u8]) -> Vec<u8> {
    assert!(data.is_empty() || data.ends_with(b"\r\n"), "whole lines, please");
    let mut out = Vec::with_capacity(data.len() + 64);
    let mut line_start = true;
    for byte in data {
        if line_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        line_start = *byte == b'\n';
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

//! A next hop whose TLS is of a kind that no library for new programs makes any more: `openssl s_server` between two sinks,
//! one for what is said in clear and one for what is said under TLS.

use super::{wait_some, Sink, PATIENCE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// How `openssl s_server` is started.
#[derive(Clone)]
pub struct Server {
    pub openssl: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub options: Vec<&'static str>,
}

/// Runs openssl; a test that goes on without what it should have made is worth nothing.
pub fn openssl(program: &Path, folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(program);
    let made = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A next hop that offers STARTTLS. It ends with the process.
pub struct OddTls {
    pub addr: SocketAddr,
}

impl OddTls {
    /// What is said in clear goes to `clear`, what is said under TLS to `tls`.
    pub fn start(server: &Server, clear: &Sink, tls: &Sink) -> OddTls {
        clear.set(|behaviour| behaviour.offers.push("STARTTLS"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (server, clear, tls) = (server.clone(), clear.addr, tls.addr);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || session(&server, stream, clear, tls));
            }
        });
        OddTls { addr }
    }
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn session(server: &Server, client: TcpStream, clear: SocketAddr, tls: SocketAddr) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_nodelay(true).unwrap();
    let mut sink = TcpStream::connect(clear).unwrap();
    // What the sink in clear says goes to the client until TLS begins.
    let out = Arc::new(Mutex::new(Some(client.try_clone().unwrap())));
    let (said, to) = (sink.try_clone().unwrap(), out.clone());
    std::thread::spawn(move || {
        copy(said, |bytes| match to.lock().unwrap().as_mut() {
            Some(client) => client.write_all(bytes).is_ok(),
            None => false,
        });
        if let Some(client) = to.lock().unwrap().take() {
            let _ = client.shutdown(std::net::Shutdown::Write);
        }
    });
    let mut lines = BufReader::new(client.try_clone().unwrap());
    let mut line = Vec::new();
    loop {
        line.clear();
        if !lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let _ = sink.shutdown(std::net::Shutdown::Both);
            return;
        }
        if line == b"STARTTLS\r\n" {
            break;
        }
        sink.write_all(&line).unwrap();
    }
    let clear = out.lock().unwrap().take();
    let _ = sink.shutdown(std::net::Shutdown::Both);
    if let Some(mut client) = clear {
        client.write_all(b"220 2.0.0 go\r\n").unwrap();
        encrypted(server, client, tls);
    }
}

/// The bytes of the client go to `openssl`, what it makes of them to the sink, and back.
fn encrypted(server: &Server, client: TcpStream, tls: SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(&server.openssl);
    command
        .args(["s_server", "-quiet", "-naccept", "1", "-accept", &free.to_string(), "-cert"])
        .arg(&server.certificate)
        .arg("-key")
        .arg(&server.key)
        .args(&server.options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let far = wait_some("openssl s_server", || TcpStream::connect(free).ok());
    far.set_nodelay(true).unwrap();
    let (mut input, output) = (running.0.stdin.take().unwrap(), running.0.stdout.take().unwrap());
    // A client that closes closes all of it.
    let (from, mut to) = (client.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || {
        copy(from, |bytes| to.write_all(bytes).is_ok());
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let sink = TcpStream::connect(tls).unwrap();
    let mut to_sink = sink.try_clone().unwrap();
    std::thread::spawn(move || {
        copy(output, |bytes| to_sink.write_all(bytes).is_ok());
        let _ = to_sink.shutdown(std::net::Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut said = BufReader::new(sink);
        // The client has its greeting.
        let mut banner = Vec::new();
        let _ = said.read_until(b'\n', &mut banner);
        copy(said, |bytes| input.write_all(bytes).and_then(|()| input.flush()).is_ok());
    });
    let mut back = client;
    copy(far, |bytes| back.write_all(bytes).is_ok());
    let _ = back.shutdown(std::net::Shutdown::Both);
}

/// Reads until the end, or until nobody takes it.
fn copy(mut from: impl Read, mut to: impl FnMut(&[u8]) -> bool) {
    let mut chunk = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !to(&chunk[..count]) {
            return;
        }
    }
}

//! A webhook receiver that says yes to everything, so that hooks can be measured.

use crate::limits::{WEBHOOK_BYTES, WEBHOOK_CONNECTIONS};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// What is done with the body of each request before it is answered.
type OnPost = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Starts a receiver on a free port of loopback; it ends with the process.
///
/// # Errors
/// As bind(2).
pub fn start() -> std::io::Result<SocketAddr> {
    start_with(|_| ())
}

/// The same; `on_post` sees each body before it is answered.
///
/// # Errors
/// As bind(2).
pub fn start_with(on_post: impl Fn(&[u8]) + Send + Sync + 'static) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let open = Arc::new(AtomicUsize::new(0));
    let on_post: OnPost = Arc::new(on_post);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if open.fetch_add(1, Ordering::Relaxed) >= WEBHOOK_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (open, on_post) = (open.clone(), on_post.clone());
            std::thread::spawn(move || {
                // A client that goes away ends its connection, and that is all.
                let _ = serve(&stream, &on_post);
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(addr)
}

fn serve(stream: &TcpStream, on_post: &OnPost) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let mut body = Vec::new();
    let mut line = String::new();
    loop {
        let mut length: u64 = 0;
        loop {
            line.clear();
            if reader.by_ref().take(WEBHOOK_BYTES).read_line(&mut line)? == 0 {
                return Ok(());
            }
            line.make_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        body.clear();
        reader.by_ref().take(length.min(WEBHOOK_BYTES)).read_to_end(&mut body)?;
        on_post(&body);
        (&*stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_posts_over_one_connection() {
        let mut stream = TcpStream::connect(start().unwrap()).unwrap();
        for _ in 0..2 {
            stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
            let mut answer = [0; 38];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
    }
}

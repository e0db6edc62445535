//! Frames that a websocket client sends to the inbox: no message beyond the limit comes out, and what is answered is no more
//! than was sent.

use ringmta_sandbox::socket::config;
use std::io::{Cursor, Error, ErrorKind, Read, Write};
use tungstenite::protocol::Role;
use tungstenite::WebSocket;

/// A client that has sent all it will, and takes what it is sent.
struct Client {
    sent: Cursor<Vec<u8>>,
    taken: usize,
}

impl Read for Client {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        // In small pieces, as a network may.
        let piece = space.len().min(7);
        match self.sent.read(&mut space[..piece])? {
            0 => Err(Error::from(ErrorKind::WouldBlock)),
            n => Ok(n),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.taken += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes are frames.
pub fn check(data: &[u8]) {
    let client = Client { sent: Cursor::new(data.to_vec()), taken: 0 };
    let settings = config();
    let most = settings.max_message_size.expect("a limit");
    let mut socket = WebSocket::from_raw_socket(client, Role::Server, Some(settings));
    // Each read takes a frame, of two bytes at least, or is the last.
    for _ in 0..=data.len() {
        match socket.read() {
            Ok(message) => assert!(message.len() <= most, "{} bytes", message.len()),
            Err(_) => break,
        }
    }
    let taken = socket.get_ref().taken;
    assert!(taken <= data.len() + 256, "{taken} bytes answered to {}", data.len());
}

/// A frame of each kind, masked as a client's are.
pub fn seeds() -> Vec<Vec<u8>> {
    let frame = |head: u8, payload: &[u8]| {
        let mask = [1, 2, 3, 4];
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let length = 0x80 | payload.len() as u8;
        [head, length].into_iter().chain(mask).chain(masked).collect::<Vec<u8>>()
    };
    let fragments = [frame(0x01, b"fir"), frame(0x89, b"between"), frame(0x80, b"st")].concat();
    vec![
        frame(0x81, b"text"),
        frame(0x82, &[0xff; 100]),
        frame(0x89, b"ping"),
        frame(0x8a, b"pong"),
        frame(0x88, &[3, 0xe8, b'b', b'y', b'e']),
        fragments,
        vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ]
}

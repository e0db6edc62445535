//! As much of an AMQP server as a publisher sees.

use std::io::{Read, Write};
use std::sync::mpsc::Sender;

fn method(out: &mut impl Write, channel: u16, class: u16, id: u16, args: &[u8]) -> Option<()> {
    let mut frame = vec![1];
    frame.extend(channel.to_be_bytes());
    frame.extend((args.len() as u32 + 4).to_be_bytes());
    frame.extend([class.to_be_bytes(), id.to_be_bytes()].concat());
    frame.extend(args);
    frame.push(0xCE);
    out.write_all(&frame).ok()?;
    out.flush().ok()
}

/// Serves one connection to its end. Publications go to `seen`; they are acknowledged when the client asked for that.
pub(crate) fn serve(mut stream: impl Read + Write, seen: &Sender<Vec<u8>>) -> Option<()> {
    let mut hello = [0; 8];
    stream.read_exact(&mut hello).ok()?;
    let start = [&[0, 9, 0, 0, 0, 0][..], b"\0\0\0\x05PLAIN", b"\0\0\0\x05en_US"].concat();
    method(&mut stream, 0, 10, 10, &start)?;
    let (mut confirms, mut left, mut payload) = (false, 0, Vec::new());
    let mut tag = 0u64;
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).ok()?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut body = vec![0; size + 1];
        stream.read_exact(&mut body).ok()?;
        assert_eq!(body.pop(), Some(0xCE), "the end of a frame");
        match (head[0], body.get(1).copied().unwrap_or(0), body.get(3).copied().unwrap_or(0)) {
            (1, 10, 11) => method(&mut stream, 0, 10, 30, &[0, 0, 0, 2, 0, 0, 0, 0])?,
            (1, 10, 40) => method(&mut stream, 0, 10, 41, &[0])?,
            (1, 20, 10) => method(&mut stream, 1, 20, 11, &[0, 0, 0, 0])?,
            (1, 85, 10) => {
                confirms = true;
                method(&mut stream, 1, 85, 11, &[])?;
            }
            (1, 10, 50) => method(&mut stream, 0, 10, 51, &[])?,
            (1, 20, 40) => method(&mut stream, 1, 20, 41, &[])?,
            (2, _, _) => left = u64::from_be_bytes(body[4..12].try_into().ok()?) as usize,
            (3, _, _) => payload.extend(&body),
            _ => {}
        }
        let whole = matches!(head[0], 2 | 3) && payload.len() >= left;
        if whole {
            seen.send(std::mem::take(&mut payload)).ok()?;
            tag += 1;
            if confirms {
                method(&mut stream, 1, 60, 80, &[&tag.to_be_bytes()[..], &[0]].concat())?;
            }
        }
    }
}

//! The hash of a message's body (RFC 6376 section 3.7), made line by line, so that the body is never copied, and piece by
//! piece where somebody else chose how large it is.

use aws_lc_rs::digest::{Context, SHA256};
use ringmta_options::Canonicalization;

use crate::limits::{DKIM_SLICES, DKIM_SLICE_BYTES};
use crate::vm::handler_budget::others_first;

/// Bytes that are given to the hash at once: for a line each it would take longer to be called than to work.
const GATHERED_BYTES: usize = 4096;

/// A hash being made.
pub(crate) struct BodyHash {
    how: Canonicalization,
    hash: Context,
    /// Canonical bytes on their way to the hash.
    gathered: Vec<u8>,
    /// Canonical bytes that are hashed at the most: the tag `l`.
    most: u64,
    left: u64,
    /// Lines that count only when another follows (sections 3.4.3 and 3.4.4).
    empty_lines: usize,
    has_lines: bool,
    line: Vec<u8>,
}

impl BodyHash {
    fn new(how: Canonicalization, limit: Option<u64>) -> BodyHash {
        let most = limit.unwrap_or(u64::MAX);
        BodyHash {
            how,
            hash: Context::new(&SHA256),
            gathered: Vec::with_capacity(2 * GATHERED_BYTES),
            most,
            left: most,
            empty_lines: 0,
            has_lines: false,
            line: Vec::new(),
        }
    }

    /// The hash of a body, and how many bytes were hashed. `limit` is the tag `l`.
    pub fn of(body: &[u8], how: Canonicalization, limit: Option<u64>) -> (Vec<u8>, u64) {
        let mut hash = BodyHash::new(how, limit);
        hash.lines(body, usize::MAX);
        hash.end()
    }

    /// The same of a body from outside: between two pieces others have their turn.
    pub async fn of_any(body: &[u8], how: Canonicalization, limit: Option<u64>) -> Vec<u8> {
        let mut hash = BodyHash::new(how, limit);
        let most = DKIM_SLICE_BYTES.max(body.len() / DKIM_SLICES);
        let mut rest = hash.lines(body, most);
        while !rest.is_empty() {
            others_first().await;
            rest = hash.lines(rest, most);
        }
        hash.end().0
    }

    /// Takes whole lines until there are so many bytes; what is left of the body.
    fn lines<'b>(&mut self, body: &'b [u8], most: usize) -> &'b [u8] {
        let mut rest = body;
        while !rest.is_empty() && body.len() - rest.len() < most {
            let (line, next) = match memchr::memchr(b'\n', rest) {
                Some(n) => (&rest[..n], &rest[n + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = next;
            self.take(line.strip_suffix(b"\r").unwrap_or(line));
        }
        rest
    }

    fn take(&mut self, line: &[u8]) {
        let mut buffer = std::mem::take(&mut self.line);
        let line = match self.how {
            Canonicalization::Simple => line,
            Canonicalization::Relaxed => relaxed_line(line, &mut buffer),
        };
        if line.is_empty() {
            self.empty_lines += 1;
        } else {
            for _ in 0..std::mem::take(&mut self.empty_lines) {
                self.gather(b"\r\n");
            }
            self.has_lines = true;
            self.gather(line);
            self.gather(b"\r\n");
        }
        self.line = buffer;
    }

    fn gather(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= n as u64;
        self.gathered.extend_from_slice(&bytes[..n]);
        if self.gathered.len() >= GATHERED_BYTES {
            self.hash.update(&self.gathered);
            self.gathered.clear();
        }
    }

    fn end(mut self) -> (Vec<u8>, u64) {
        if !self.has_lines && self.how == Canonicalization::Simple {
            self.gather(b"\r\n");
        }
        self.hash.update(&self.gathered);
        (self.hash.finish().as_ref().to_vec(), self.most - self.left)
    }
}

/// White space collapsed and trimmed at the end; the line itself when nothing is to be done.
fn relaxed_line<'a>(line: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let is_space = |c: &u8| matches!(c, b' ' | b'\t');
    let trimmed = match line.iter().rposition(|c| !is_space(c)) {
        Some(n) => &line[..=n],
        None => return &[],
    };
    let untouched = !trimmed.contains(&b'\t') && memchr::memmem::find(trimmed, b"  ").is_none();
    if untouched {
        return trimmed;
    }
    buffer.clear();
    for c in trimmed {
        match is_space(c) {
            true if buffer.last() == Some(&b' ') => {}
            true => buffer.push(b' '),
            false => buffer.push(*c),
        }
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;
    use data_encoding::BASE64;
    use futures::executor::block_on;
    use Canonicalization::*;

    /// RFC 6376, sections 3.4.4 and 3.4.3: the hash of an empty body, and of the example in section 3.4.5.
    #[test]
    fn of_the_rfc() {
        let b64 = |body: &[u8], how| BASE64.encode(&BodyHash::of(body, how, None).0);
        assert_eq!(b64(b"", Simple), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(b64(b"", Relaxed), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        let sha = |s: &[u8]| BASE64.encode(digest(&SHA256, s).as_ref());
        assert_eq!(b64(b" C \r\nD \t E\r\n\r\n\r\n", Relaxed), sha(b" C\r\nD E\r\n"));
        assert_eq!(b64(b" C \r\nD \t E\r\n\r\n\r\n", Simple), sha(b" C \r\nD \t E\r\n"));
        assert_eq!(b64(b"no line end", Relaxed), sha(b"no line end\r\n"));
    }

    #[test]
    fn a_large_body_in_pieces_has_the_same_hash() {
        let body = ["x \t y\r\n", "\r\n", &"z".repeat(3000), "\r\n\r\n"].concat().repeat(500);
        let body = body.into_bytes();
        let canonical = |how| match how {
            Simple => body.strip_suffix(b"\r\n").unwrap().to_vec(),
            Relaxed => {
                let text = String::from_utf8(body.clone()).unwrap().replace("x \t y", "x y");
                text.strip_suffix("\r\n").unwrap().as_bytes().to_vec()
            }
        };
        for how in [Simple, Relaxed] {
            let whole = canonical(how);
            for limit in [None, Some(0), Some(5000), Some(whole.len() as u64 - 1)] {
                let length = limit.map_or(whole.len(), |most| most as usize);
                let expected = digest(&SHA256, &whole[..length]).as_ref().to_vec();
                assert_eq!(BodyHash::of(&body, how, limit), (expected.clone(), length as u64));
                assert_eq!(block_on(BodyHash::of_any(&body, how, limit)), expected);
            }
        }
        // Others had their turn.
        let hash = BodyHash::of_any(&body, Simple, None);
        assert!(futures::FutureExt::now_or_never(hash).is_none());
    }
}

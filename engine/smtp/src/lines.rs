//! Where a text's line ends are as they should be, found without looking at one line at a time.

/// Bytes that are looked at together, without a branch: the compiler makes vector instructions of it.
const BLOCK: usize = 512;

/// The length of a piece at the start of `text` that ends behind a CRLF and in which CR and LF come as CRLF alone, none of
/// them with a dot behind it, not even the last. Not the longest: what is left is for a closer look.
pub fn plain_lines(text: &[u8]) -> usize {
    if text.first() == Some(&b'\n') {
        return 0;
    }
    let mut end = 0;
    while let Some(block) = text.get(end..=end + BLOCK) {
        let pairs = block.iter().zip(&block[1..]);
        let odd = pairs.fold(0, |odd, (byte, next)| {
            let torn = u8::from((*byte == b'\r') != (*next == b'\n'));
            odd | torn | (u8::from(*byte == b'\n') & u8::from(*next == b'.'))
        });
        if odd != 0 {
            break;
        }
        end += BLOCK;
    }
    memchr::memrchr(b'\n', &text[..end]).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_piece_holds_whole_lines_and_nothing_else() {
        let line = b"0123456789 0123456789 0123456789\r\n";
        let plain = line.repeat(100);
        let most = plain_lines(&plain);
        assert!(
            most > plain.len() - BLOCK - line.len() && most.is_multiple_of(line.len()),
            "{most}"
        );
        for odd in [&b"\r"[..], b"\n", b"\n.", b"\r\r\n", b"\r\n.", b"\r.\n"] {
            for at in 0..plain.len() {
                let mut text = plain.clone();
                text.splice(at..at, odd.iter().copied());
                let piece = plain_lines(&text);
                assert!(
                    piece <= at && piece.is_multiple_of(line.len()),
                    "{odd:?} at {at}: {piece}"
                );
                assert!(piece == 0 || text[piece] != b'.');
                assert!(piece + BLOCK + line.len() + 2 > at.min(most), "{odd:?} at {at}: {piece}");
            }
        }
        assert_eq!(plain_lines(b""), 0);
        assert_eq!(plain_lines(&vec![b'x'; 5000]), 0);
    }
}

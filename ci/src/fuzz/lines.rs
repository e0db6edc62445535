//! What lines on a wire must be like; said once for the targets that make some.

/// Whether a CR or LF stands alone.
pub fn has_bare_ending(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        _ => false,
    })
}

/// Whether these bytes are one reply of SMTP (RFC 5321 section 4.2): one code on every line, a hyphen behind it on all but
/// the last, nothing that a client could take for a further line.
pub fn is_reply(wire: &[u8]) -> bool {
    let Some(text) = wire.strip_suffix(b"\r\n") else { return false };
    if has_bare_ending(wire) {
        return false;
    }
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').map(|l| l.trim_ascii_end()).collect();
    let Some(code) = lines[0].get(..3) else { return false };
    code.iter().all(u8::is_ascii_digit)
        && lines.iter().enumerate().all(|(at, line)| {
            let mark = line.get(3).copied().unwrap_or(b' ');
            line.starts_with(code)
                && (mark == b' ') == (at + 1 == lines.len())
                && line.iter().all(|b| *b >= b' ' && *b != 0x7f)
        })
}

//! The header of a message changed, the rest left byte for byte.

/// The fields of a header section, each with its folded lines and line ends, and where the section ends.
fn fields(source: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut fields: Vec<&[u8]> = Vec::new();
    let (mut begin, mut at) = (0, 0);
    loop {
        let end = memchr::memchr(b'\n', &source[at..]).map_or(source.len(), |end| at + end + 1);
        let line = &source[at..end];
        let ends = line.iter().all(u8::is_ascii_whitespace);
        let continues = !ends && (line[0] == b' ' || line[0] == b'\t') && at > 0;
        if !continues && at > begin {
            fields.push(&source[begin..at]);
            begin = at;
        }
        if ends {
            return (fields, at);
        }
        at = end;
    }
}

fn is(field: &[u8], name: &str) -> bool {
    field.split(|byte| *byte == b':').next().is_some_and(|own| {
        own.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()) && field.len() > own.len()
    })
}

/// The message without these fields.
pub fn without(source: &[u8], names: &[&str]) -> Vec<u8> {
    let (fields, end) = fields(source);
    let kept = fields.into_iter().filter(|field| !names.iter().any(|name| is(field, name)));
    let mut out = kept.collect::<Vec<_>>().concat();
    out.extend_from_slice(&source[end..]);
    out
}

/// The message with this field, where the first of its name was or in front of all, and no other of its name.
pub fn with(source: &[u8], name: &str, value: &str) -> Vec<u8> {
    let (fields, end) = fields(source);
    let field = format!("{name}: {value}\r\n").into_bytes();
    let mut out = Vec::with_capacity(source.len() + field.len());
    if !fields.iter().any(|field| is(field, name)) {
        out.extend_from_slice(&field);
    }
    let mut written = false;
    for old in fields {
        if !is(old, name) {
            out.extend_from_slice(old);
        } else if !std::mem::replace(&mut written, true) {
            out.extend_from_slice(&field);
        }
    }
    out.extend_from_slice(&source[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_change_and_the_rest_stays() {
        let source = b"Bcc: a,\r\n b\r\nSubject: x\r\nbcc: c\r\nBccs: d\r\n\r\nBcc: body\r\n";
        let gone = without(source, &["Bcc"]);
        assert_eq!(gone, b"Subject: x\r\nBccs: d\r\n\r\nBcc: body\r\n");
        let set = with(&gone, "Subject", "y");
        assert_eq!(set, b"Subject: y\r\nBccs: d\r\n\r\nBcc: body\r\n");
        let added = with(b"A: b\r\n\r\n", "Date", "now");
        assert_eq!(added, b"Date: now\r\nA: b\r\n\r\n");
        for odd in [&b""[..], b"no end", b"\r\nbody", b"a: b\r\n", b" folded first\r\n\r\nx"] {
            assert_eq!(without(odd, &["X"]), odd);
        }
    }
}

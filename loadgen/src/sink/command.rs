//! Commands as the sink reads them.

/// A command, by its verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO (`true`) or HELO.
    Hello(bool),
    /// MAIL, with the address between the angle brackets.
    Mail(&'a [u8]),
    /// RCPT, with the address between the angle brackets.
    Rcpt(&'a [u8]),
    /// DATA.
    Data,
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// STARTTLS.
    StartTls,
    /// AUTH, with mechanism and what follows it.
    Auth(&'a [u8]),
    /// QUIT.
    Quit,
    /// A known verb that does not go on as it should.
    Malformed,
    /// Anything else.
    Unknown,
}

/// Reads a line without its line end.
#[must_use]
pub fn parse(line: &[u8]) -> Command<'_> {
    let (verb, rest) = line.split_at_checked(4).unwrap_or((line, b""));
    let mut upper = [0; 4];
    upper[..verb.len()].copy_from_slice(verb);
    upper.make_ascii_uppercase();
    match &upper {
        b"MAIL" => path(rest, b" FROM:").map_or(Command::Malformed, Command::Mail),
        b"RCPT" => path(rest, b" TO:").map_or(Command::Malformed, Command::Rcpt),
        b"EHLO" | b"HELO" => Command::Hello(&upper == b"EHLO"),
        b"AUTH" => Command::Auth(rest.trim_ascii()),
        b"STAR" if rest.trim_ascii_end().eq_ignore_ascii_case(b"TTLS") => Command::StartTls,
        b"NOOP" => Command::Noop,
        b"VRFY" => Command::Vrfy,
        b"DATA" if rest.trim_ascii().is_empty() => Command::Data,
        b"RSET" if rest.trim_ascii().is_empty() => Command::Rset,
        b"QUIT" if rest.trim_ascii().is_empty() => Command::Quit,
        b"DATA" | b"RSET" | b"QUIT" => Command::Malformed,
        _ => Command::Unknown,
    }
}

/// The address in `<...>` behind a keyword; blanks behind the colon are tolerated.
fn path<'a>(rest: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (start, path) = rest.split_at_checked(keyword.len())?;
    if !start.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let path = path.trim_ascii_start().strip_prefix(b"<")?;
    path.get(..memchr::memchr(b'>', path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_apart() {
        assert_eq!(parse(b"mail from:<a@b> BODY=8BITMIME"), Command::Mail(b"a@b"));
        assert_eq!(parse(b"MAIL FROM: <>"), Command::Mail(b""));
        assert_eq!(parse(b"RCPT TO:<\"x y\"@b>"), Command::Rcpt(b"\"x y\"@b"));
        assert_eq!(parse(b"EHLO x"), Command::Hello(true));
        assert_eq!(parse(b"helo x"), Command::Hello(false));
        assert_eq!(parse(b"StartTLS"), Command::StartTls);
        assert_eq!(parse(b"AUTH PLAIN abc"), Command::Auth(b"PLAIN abc"));
        for (line, command) in [
            (&b"DATA "[..], Command::Data),
            (b"RSET", Command::Rset),
            (b"quit", Command::Quit),
            (b"NOOP x", Command::Noop),
            (b"VRFY x", Command::Vrfy),
        ] {
            assert_eq!(parse(line), command);
        }
    }

    #[test]
    fn nonsense_is_told_apart() {
        for line in [
            &b"MAIL"[..],
            b"MAIL FROM",
            b"MAIL FROM:a@b",
            b"RCPT FROM:<a@b>",
            b"RCPT TO:<a@b",
            b"DATA x",
        ] {
            assert_eq!(parse(line), Command::Malformed, "{line:?}");
        }
        for line in [&b""[..], b"X", b"GET / HTTP/1.1", b"\xff\xff\xff\xff\xff", b"STARTX"] {
            assert_eq!(parse(line), Command::Unknown, "{line:?}");
        }
    }
}

//! The command line (RFC 5321 section 4.1): which verb, which argument. No meaning is decided
//! here beyond syntax.

/// A command line, split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `EHLO domain`
    Ehlo(&'a str),
    /// `HELO domain`
    Helo(&'a str),
    /// `MAIL FROM:` and what follows
    Mail(&'a str),
    /// `RCPT TO:` and what follows
    Rcpt(&'a str),
    /// `DATA`
    Data,
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `QUIT`
    Quit,
    /// `STARTTLS`
    StartTls,
    /// `AUTH mechanism [initial-response]`
    Auth(&'a str),
    /// `XCLIENT` and its attributes
    Xclient(&'a str),
    /// A verb of HTTP: the client is lost, or is being misused (cross-protocol attacks).
    Http,
    /// Anything else.
    Unknown,
    /// A known verb with an argument that does not fit.
    BadArgument,
}

/// Splits `line` (without its CRLF).
pub fn parse(line: &str) -> Command<'_> {
    let line = line.trim_end_matches([' ', '\t']);
    let (verb, rest) = match line.find([' ', '\t']) {
        Some(at) => (&line[..at], line[at + 1..].trim_start_matches([' ', '\t'])),
        None => (line, ""),
    };
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let bare = |command| if rest.is_empty() { command } else { Command::BadArgument };
    if is("EHLO") {
        Command::Ehlo(rest)
    } else if is("HELO") {
        Command::Helo(rest)
    } else if is("MAIL") {
        after_keyword(rest, "FROM").map_or(Command::BadArgument, Command::Mail)
    } else if is("RCPT") {
        after_keyword(rest, "TO").map_or(Command::BadArgument, Command::Rcpt)
    } else if is("DATA") {
        bare(Command::Data)
    } else if is("RSET") {
        bare(Command::Rset)
    } else if is("NOOP") {
        Command::Noop
    } else if is("QUIT") {
        bare(Command::Quit)
    } else if is("STARTTLS") {
        bare(Command::StartTls)
    } else if is("AUTH") {
        Command::Auth(rest)
    } else if is("XCLIENT") {
        Command::Xclient(rest)
    } else if ["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PATCH"].iter().any(|v| is(v)) {
        Command::Http
    } else {
        Command::Unknown
    }
}

/// `FROM:<a@b> ...` gives `<a@b> ...`; blanks around the colon are forgiven.
fn after_keyword<'a>(rest: &'a str, keyword: &str) -> Option<&'a str> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = rest[keyword.len()..].trim_start_matches(' ').strip_prefix(':')?;
    Some(rest.trim_start_matches(' '))
}

/// Splits a path argument: the address between the angle brackets (source route dropped, RFC
/// 5321 appendix C) and the parameters behind it. An address without brackets is taken up to
/// the first blank.
pub fn parse_path(argument: &str) -> Option<(&str, &str)> {
    let Some(inner) = argument.strip_prefix('<') else {
        let end = argument.find(' ').unwrap_or(argument.len());
        let address = &argument[..end];
        return (!address.is_empty() && !address.contains(['<', '>']))
            .then(|| (address, argument[end..].trim_start()));
    };
    let end = closing_bracket(inner)?;
    let mut address = &inner[..end];
    let after = &inner[end + 1..];
    if !after.is_empty() && !after.starts_with(' ') {
        return None;
    }
    if address.starts_with('@') {
        address = &address[address.find(':')? + 1..];
    }
    Some((address, after.trim_start()))
}

/// The bracket that ends the path; one inside a quoted local part does not.
fn closing_bracket(inner: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            b'<' if !quoted => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        assert_eq!(parse("ehlo  x.test "), Command::Ehlo("x.test"));
        assert_eq!(parse("MAIL FROM:<a@b> SIZE=1"), Command::Mail("<a@b> SIZE=1"));
        assert_eq!(parse("mail from : <a@b>"), Command::Mail("<a@b>"));
        assert_eq!(parse("RCPT TO: <a@b>"), Command::Rcpt("<a@b>"));
        assert_eq!(parse("RCPT FROM:<a@b>"), Command::BadArgument);
        assert_eq!(parse("MAIL"), Command::BadArgument);
        assert_eq!(parse("DATA now"), Command::BadArgument);
        assert_eq!(parse("GET / HTTP/1.1"), Command::Http);
        assert_eq!(parse(""), Command::Unknown);
        assert_eq!(parse("MAILé"), Command::Unknown);
        assert_eq!(parse("MAIL FRé"), Command::BadArgument);
    }

    #[test]
    fn paths() {
        assert_eq!(parse_path("<a@b> X=1"), Some(("a@b", "X=1")));
        assert_eq!(parse_path("<>"), Some(("", "")));
        assert_eq!(parse_path("<@r1,@r2:a@b>"), Some(("a@b", "")));
        assert_eq!(parse_path("<\"a>b\"@c>"), Some(("\"a>b\"@c", "")));
        assert_eq!(parse_path("a@b"), Some(("a@b", "")));
        assert_eq!(parse_path("<a@b>x"), None);
        assert_eq!(parse_path("<a@b"), None);
        assert_eq!(parse_path("<<a@b>>"), None);
        assert_eq!(parse_path(""), None);
    }
}

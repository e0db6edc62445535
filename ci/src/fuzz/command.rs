//! Command lines: no line is too strange, and what is taken out of one was in it.

use ringmta_smtp::server::command::{parse, parse_path, Command};

/// The bytes are a line.
pub fn check(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let inside = |part: &str| {
        let (line, part) = (line.as_bytes().as_ptr_range(), part.as_bytes().as_ptr_range());
        let empty = part.start == part.end;
        assert!(empty || (line.start <= part.start && part.end <= line.end), "not of the line");
    };
    match parse(line) {
        Command::Mail(rest) | Command::Rcpt(rest) => {
            inside(rest);
            if let Some((address, parameters)) = parse_path(rest) {
                inside(address);
                inside(parameters);
            }
        }
        Command::Ehlo(rest) | Command::Helo(rest) | Command::Auth(rest) => inside(rest),
        _ => {}
    }
    if let Some((address, parameters)) = parse_path(line) {
        inside(address);
        inside(parameters);
        assert!(parameters.is_empty() || !parameters.starts_with(' '));
    }
}

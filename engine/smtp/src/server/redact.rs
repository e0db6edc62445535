//! What of a command line may be kept in records and shown to handlers: never anything that may be a secret.

use crate::server::command;

/// Longest verb that is kept of a line that is no command; all that exist are shorter.
const VERB_BYTES: usize = 10;

/// Commands of SMTP that are not implemented here; none of them carries a secret.
const UNIMPLEMENTED: [&str; 7] = ["VRFY", "EXPN", "HELP", "TURN", "ETRN", "LHLO", "BDAT"];

/// What is kept of `line`. Whatever begins with AUTH in any spelling is kept as that word alone; of what is no command only a
/// word that looks like a verb is, since it may be a response to AUTH that came too late, or a slip with a password behind it.
pub fn kept(line: &str) -> &str {
    let line = line.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    if line.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("AUTH")) {
        return "AUTH";
    }
    let clean = !line.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f);
    let known = !matches!(command::parse(line), command::Command::Unknown);
    let first = line.split(' ').next().unwrap_or("");
    let foreign = UNIMPLEMENTED.iter().any(|verb| first.eq_ignore_ascii_case(verb));
    if clean && (known || foreign) {
        return line;
    }
    let verb = line.split(|c: char| c.is_whitespace() || c.is_control()).next().unwrap_or("");
    let one_case = verb.bytes().all(|b| b.is_ascii_uppercase())
        || verb.bytes().all(|b| b.is_ascii_lowercase());
    if one_case && verb.len() <= VERB_BYTES {
        verb
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use crate::server::redact::kept;

    #[test]
    fn secrets_are_not_kept() {
        for secret in ["AGFiYwBzZWNyZXQ=", "c2VjcmV0LXNlY3JldA==", "hunter2hunter2", "dXNlcg=="] {
            for line in [
                format!("AUTH PLAIN {secret}"),
                format!("auth plain {secret}\u{1}"),
                format!("AUTH PLAIN {secret}\r"),
                format!("AUTH=PLAIN {secret}"),
                format!("AUTHPLAIN {secret}"),
                format!(" \tAUTH\tPLAIN\t{secret}"),
                format!("\u{0}AUTH PLAIN {secret}"),
                format!("AUHT PLAIN {secret}"),
                format!("QUIT\r\u{1}AUTH PLAIN {secret}"),
                format!("PLAIN {secret}"),
                format!("PASS {secret}"),
                secret.to_string(),
                format!("{secret}\u{1}"),
            ] {
                assert!(!kept(&line).contains(&secret[..4]), "{line:?} {:?}", kept(&line));
            }
        }
    }

    #[test]
    fn commands_are_kept() {
        for line in [
            "MAIL FROM:<a@b.test> SIZE=1",
            "RCPT TO:<u@d.test>",
            "DATA",
            "EHLO x",
            "GET / HTTP/1.1",
            "VRFY x",
        ] {
            assert_eq!(kept(line), line);
        }
        assert_eq!(kept("XYZZY now"), "XYZZY");
        assert_eq!(kept(""), "");
    }
}

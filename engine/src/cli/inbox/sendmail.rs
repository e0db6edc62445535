//! `ringmta sendmail`: the program that others call to send mail, which hands it to the inbox.

use super::door::Door;
use super::tools::SendmailArgs;
use ringmta_sandbox::rewrite::{with, without};
use ringmta_smtp::limits::MESSAGE_BYTES_MAX;
use std::ffi::OsString;
use std::io::{self, Read, Write};

/// The words behind `sendmail` as they are understood: programs write `-o` and `-e` in forms of other days, and Mailpit's takes
/// `-b -s` for `-bs`.
#[must_use]
pub fn spelled(words: Vec<OsString>) -> Vec<OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let has = |flag: &str| words[..end].iter().any(|word| word == flag);
    let mode = match (has("-b"), has("-s")) {
        (true, true) => Some("-bs"),
        // Which half is missing is for the command to say.
        (true, false) | (false, true) => Some("-b="),
        (false, false) => None,
    };
    let kept = |(at, word): &(usize, OsString)| {
        *at >= end || !["-b", "-s", "-o"].iter().any(|flag| word == flag)
    };
    let rest = words.into_iter().enumerate().filter(kept).map(|(_, word)| word);
    mode.into_iter().map(OsString::from).chain(rest).collect()
}

/// Sends what comes on standard input.
///
/// # Errors
/// Why it was not sent.
pub fn sendmail(args: &SendmailArgs) -> Result<(), String> {
    let door = Door::parse(&args.server.smtp_addr)?;
    match args.mode.as_deref() {
        Some("s") => return door.speak(),
        None | Some("m") => {}
        Some("") => return Err("use -bs".into()),
        Some(mode) => {
            return Err(format!("-b{mode} is not offered: -bs speaks SMTP, -bm is the usual way"))
        }
    }
    let dots = args.ignore_dots || args.option.iter().any(|option| option == "i");
    let message = whole(read(io::stdin().lock())?, dots);
    let from = args.from.clone().or_else(|| args.older_from.clone());
    let (from, to, source) = outgoing(args, message, from)?;
    let told = format!("{door}: <{from}> to {}, {} bytes", to.join(", "), source.len());
    door.send(from, to, source)?;
    if args.verbose {
        // Whoever reads it may have gone.
        let _ = writeln!(io::stderr(), "handed to {told}");
    }
    Ok(())
}

fn read(from: impl Read) -> Result<Vec<u8>, String> {
    let mut message = Vec::new();
    let limit = MESSAGE_BYTES_MAX as u64 + 1;
    from.take(limit)
        .read_to_end(&mut message)
        .map_err(|error| format!("standard input: {error}"))?;
    match message.len() > MESSAGE_BYTES_MAX {
        true => Err(format!("the message is larger than {MESSAGE_BYTES_MAX} bytes")),
        false => Ok(message),
    }
}

/// The message with lines that end with CR LF, up to a line with a dot alone unless `dots` are text.
fn whole(message: Vec<u8>, dots: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !dots && text == b"." {
            break;
        }
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Envelope and message: what a header must have is put in where it lacks.
fn outgoing(
    args: &SendmailArgs,
    message: Vec<u8>,
    from: Option<String>,
) -> Result<(String, Vec<String>, Vec<u8>), String> {
    let mail = mail_parser::MessageParser::default();
    let read = mail.parse_headers(message.as_slice());
    let author = read.as_ref().and_then(|mail| mail.from()?.first()?.address().map(str::to_string));
    let mut to: Vec<String> = args
        .recipients
        .iter()
        .flat_map(|one| one.split(','))
        .map(|one| one.trim().into())
        .collect();
    to.retain(|one| !one.is_empty());
    // Programs that know Mailpit's leave -t out.
    let of_header = args.recipients_of_header || to.is_empty();
    if let Some(read) = read.as_ref().filter(|_| of_header) {
        for list in [read.to(), read.cc(), read.bcc()].into_iter().flatten() {
            to.extend(list.iter().filter_map(|one| one.address().map(str::to_string)));
        }
    }
    if to.is_empty() {
        return Err(
            "there are no recipients: none is named, and none stands in To, Cc or Bcc".into()
        );
    }
    let bare = |text: String| {
        let inner = text.rsplit_once('<').map_or(text.as_str(), |(_, address)| address);
        inner.trim_matches(['<', '>', ' ']).to_string()
    };
    let from = from.map(bare).or_else(|| author.clone()).unwrap_or_else(own_address);
    let lacks =
        |name: &str| read.as_ref().is_none_or(|mail| mail.header_raw(name.to_string()).is_none());
    let mut source = message.clone();
    if lacks("From") {
        let name = args.name.as_deref().unwrap_or("").replace(['"', '\\', '\r', '\n'], "");
        source = with(
            &source,
            "From",
            &if name.is_empty() { format!("<{from}>") } else { format!("\"{name}\" <{from}>") },
        );
    }
    if lacks("Date") {
        source = with(&source, "Date", &ringmta_sandbox::release::date_now());
    }
    if lacks("Message-ID") {
        source = with(&source, "Message-ID", &ringmta_sandbox::release::new_message_id());
    }
    if of_header {
        source = without(&source, &["Bcc"]);
    }
    Ok((from, to, source))
}

/// The user at this machine, as sendmail names a sender that nobody gave.
fn own_address() -> String {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "root".into());
    format!("{user}@localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_dots() {
        let text = b"a: b\n\n..\r\nx\n.\nrest".to_vec();
        assert_eq!(whole(text.clone(), false), b"a: b\r\n\r\n..\r\nx\r\n");
        assert_eq!(whole(text, true), b"a: b\r\n\r\n..\r\nx\r\n.\r\nrest\r\n");
    }

    #[test]
    fn spellings() {
        for (given, meant) in [
            ("-t -i", "-t -i"),
            ("-bs", "-bs"),
            ("-b -s", "-bs"),
            ("-S x:1 -s -b", "-bs -S x:1"),
            ("-b a@b.test", "-b= a@b.test"),
            ("-o a@b.test -oi -- -o", "a@b.test -oi -- -o"),
        ] {
            let words = spelled(given.split(' ').map(OsString::from).collect());
            let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), meant, "{given}");
        }
    }
}

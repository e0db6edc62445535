//! `msg:check_fix_conformance`: what is wrong with the form of a message, and the repairs that are safe.

use mlua::{Error, Result, UserDataFields, Value};
use ringmta_mail::headers::HeaderBlock;
use ringmta_mail::message::Message;
use ringmta_mail::mime::Part;
use ringmta_mail::time::format_rfc2822;
use ringmta_options::suggest;

use super::body::body_method;
use crate::vm;

/// Longest line without its end (RFC 5322 section 2.1.1).
const MAX_LINE_BYTES: usize = 998;

const FLAGS: [&str; 8] = [
    "MISSING_COLON_VALUE",
    "MISSING_DATE_HEADER",
    "MISSING_MESSAGE_ID_HEADER",
    "MISSING_MIME_VERSION",
    "LINE_TOO_LONG",
    "NON_CANONICAL_LINE_ENDINGS",
    "NAME_ENDS_WITH_SPACE",
    "NEEDS_TRANSFER_ENCODING",
];

/// Flags joined by `|`.
fn flags(text: &str) -> Result<Vec<&'static str>> {
    let named = text.split('|').map(str::trim).filter(|f| !f.is_empty() && *f != "DEFAULT");
    let known = |f: &str| {
        FLAGS.into_iter().find(|k| *k == f).ok_or_else(|| {
            let e = suggest::unknown("flag", f, FLAGS.into_iter());
            Error::runtime(format!("check_fix_conformance: {e}"))
        })
    };
    named.map(known).collect()
}

fn split(body: &[u8]) -> (&[u8], &[u8]) {
    let crlf = memchr::memmem::find(body, b"\r\n\r\n").map(|n| n + 4);
    let lf = memchr::memmem::find(body, b"\n\n").map(|n| n + 2);
    body.split_at(crlf.into_iter().chain(lf).min().unwrap_or(body.len()))
}

fn bare_ends(body: &[u8]) -> bool {
    body.iter().enumerate().any(|(n, b)| match b {
        b'\n' => n == 0 || body[n - 1] != b'\r',
        b'\r' => body.get(n + 1) != Some(&b'\n'),
        _ => false,
    })
}

/// Whether a flag's problem is there.
fn found(flag: &str, body: &[u8]) -> bool {
    let (head, _) = split(body);
    let block = HeaderBlock::new(body);
    let fields = || {
        head.split(|b| *b == b'\n')
            .map(|l| l.strip_suffix(b"\r").unwrap_or(l))
            .filter(|l| !l.is_empty() && !l.starts_with(b" ") && !l.starts_with(b"\t"))
    };
    match flag {
        "MISSING_COLON_VALUE" => fields().any(|l| !l.contains(&b':')),
        "NAME_ENDS_WITH_SPACE" => fields().any(|l| {
            let name = l.split(|b| *b == b':').next().unwrap_or(l);
            name.len() < l.len() && name.ends_with(b" ")
        }),
        "MISSING_DATE_HEADER" => block.first("Date").is_none(),
        "MISSING_MESSAGE_ID_HEADER" => block.first("Message-ID").is_none(),
        "MISSING_MIME_VERSION" => block.first("MIME-Version").is_none(),
        "LINE_TOO_LONG" => body.split(|b| *b == b'\n').any(|l| l.len() > MAX_LINE_BYTES + 1),
        "NON_CANONICAL_LINE_ENDINGS" => bare_ends(body),
        // Also where it says that it has 8 bits: not every host takes them (RFC 6152).
        "NEEDS_TRANSFER_ENCODING" => !body.is_ascii(),
        _ => false,
    }
}

/// CRLF for every line end, whatever it was.
fn canonical(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 32);
    let mut bytes = body.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        match b {
            b'\r' => {
                out.extend_from_slice(b"\r\n");
                bytes.next_if_eq(&b'\n');
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    out
}

/// The blanks between a field's name and its colon taken out; nothing else is touched.
fn tight_names(body: &[u8]) -> Vec<u8> {
    let (head, content) = split(body);
    let mut out = Vec::with_capacity(body.len());
    for line in head.split_inclusive(|b| *b == b'\n') {
        let colon = line.iter().position(|b| *b == b':').filter(|_| !line.starts_with(b" "));
        match colon.filter(|_| !line.starts_with(b"\t")) {
            Some(colon) => {
                out.extend_from_slice(line[..colon].trim_ascii_end());
                out.extend_from_slice(&line[colon..]);
            }
            None => out.extend_from_slice(line),
        }
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn methods<F: UserDataFields<Message>>(fields: &mut F) {
    body_method(
        fields,
        "check_fix_conformance",
        |lua, m, body, (checks, fixes, options): (String, String, Value)| {
            let (checks, fixes) = (flags(&checks)?, flags(&fixes)?);
            if !options.is_nil() {
                vm::ctx(lua)?.shared.warn_once(
                    "check_fix_conformance: the third argument has no effect: no charset is guessed, texts keep the \
                     bytes they came with",
                );
            }
            let failed = |e: String| Error::runtime(format!("check_fix_conformance: {e}"));
            let seconds = (vm::ctx(lua)?.host.now_unix_nanos() / 1_000_000_000) as i64;
            let mut now = body.to_vec();
            for flag in FLAGS.into_iter().filter(|f| fixes.contains(f)) {
                if !found(flag, &now) {
                    continue;
                }
                let block = HeaderBlock::new(&now);
                now = match flag {
                    "NON_CANONICAL_LINE_ENDINGS" => canonical(&now),
                    "MISSING_DATE_HEADER" => block.prepend("Date", &format_rfc2822(seconds)),
                    "MISSING_MIME_VERSION" => block.prepend("MIME-Version", "1.0"),
                    "MISSING_MESSAGE_ID_HEADER" => {
                        let sender = m.sender();
                        let host = match sender.domain() {
                            "" => "localhost",
                            domain => domain,
                        };
                        block.prepend("Message-ID", &format!("<{}@{host}>", m.id()))
                    }
                    "NAME_ENDS_WITH_SPACE" => tight_names(&now),
                    "LINE_TOO_LONG" | "NEEDS_TRANSFER_ENCODING" => {
                        let root = Part::parse(&now).map_err(failed)?;
                        root.make_plain();
                        root.write()
                    }
                    // What cannot be repaired without guessing is told.
                    _ => continue,
                };
            }
            let wrong: Vec<&str> = FLAGS
                .into_iter()
                .filter(|f| (checks.contains(f) || fixes.contains(f)) && found(f, &now))
                .collect();
            if now != body {
                m.set_body(now.into());
            }
            Ok((!wrong.is_empty())
                .then(|| format!("Message has conformance issues: {}", wrong.join("|"))))
        },
    );
}

#[cfg(test)]
mod tests {
    const BOTH: &str = "'', 'LINE_TOO_LONG|NEEDS_TRANSFER_ENCODING|NAME_ENDS_WITH_SPACE'";

    use crate::testing::*;
    use serde_json::json;

    fn check(content: &[u8], args: &str) -> (serde_json::Value, String) {
        let w = world(&format!(
            "kumo.on('test', function(m) return m:check_fix_conformance({args}) end)"
        ));
        let m = message(content);
        let got = w.fire("test", Object(m.clone())).unwrap();
        (got, String::from_utf8_lossy(&m.body().unwrap()).into_owned())
    }

    #[test]
    fn headers_and_parts_of_any_depth_are_encoded() {
        let part = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\né\r\n";
        let mixed = format!(
            "Subject : é\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n{part}--x--\r\n"
        );
        for message in [
            &mixed,
            "Subject: é\r\n\r\nx\r\n",
            part,
            &format!("A: b\r\n\r\n{}\r\n", "x".repeat(2000)),
        ] {
            let (told, _) =
                check(message.as_bytes(), "'LINE_TOO_LONG|NEEDS_TRANSFER_ENCODING', ''");
            assert!(told.is_string(), "{message}");
            let (got, body) = check(message.as_bytes(), BOTH);
            assert_eq!(got, json!(null), "{body}");
            assert!(body.is_ascii() && body.lines().all(|line| line.len() <= 998), "{body}");
        }
        let (_, body) = check(mixed.as_bytes(), BOTH);
        assert!(
            body.starts_with("Subject: =?UTF-8?B?w6k=?=\r\n") && body.contains("\r\n=C3=A9"),
            "{body}"
        );
        // An address that only SMTPUTF8 can carry stays, and is told.
        let (got, body) = check("To: <é@a.test>\r\n\r\nx\r\n".as_bytes(), BOTH);
        assert_eq!(
            (got, body.contains("é@a.test")),
            (json!("Message has conformance issues: NEEDS_TRANSFER_ENCODING"), true)
        );
    }

    #[test]
    fn told_and_repaired() {
        let (got, _) = check(
            b"From: a\nX\r\n\r\nx",
            "'MISSING_DATE_HEADER|NON_CANONICAL_LINE_ENDINGS|MISSING_COLON_VALUE', ''",
        );
        assert_eq!(
            got,
            json!("Message has conformance issues: MISSING_COLON_VALUE|MISSING_DATE_HEADER|NON_CANONICAL_LINE_ENDINGS")
        );
        let (got, body) = check(
            b"From: a\n\nx\n",
            "'', 'MISSING_DATE_HEADER|NON_CANONICAL_LINE_ENDINGS|MISSING_MESSAGE_ID_HEADER'",
        );
        assert_eq!(got, json!(null));
        assert!(
            body.contains("Date: ")
                && body.contains("@src.example>")
                && body.ends_with("\r\n\r\nx\r\n"),
            "{body}"
        );
        let (got, _) = check("A: b\r\n\r\né".as_bytes(), "'NEEDS_TRANSFER_ENCODING', ''");
        assert_eq!(got, json!("Message has conformance issues: NEEDS_TRANSFER_ENCODING"));
        let w =
            world("kumo.on('test', function(m) m:check_fix_conformance('MISSING_DATE', '') end)");
        let e = w.fire("test", Object(message(b""))).unwrap_err().to_string();
        assert!(e.contains("did you mean `MISSING_DATE_HEADER`?"), "{e}");
    }
}

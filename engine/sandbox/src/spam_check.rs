//! A message shown to SpamAssassin: spamd's protocol, one connection for each.

use crate::api::{bad, Api};
use crate::captured::Stored;
use crate::limits::{SANDBOX_SPAM_ANSWER_BYTES, SANDBOX_SPAM_SECS};
use ringmta_http::Response;
use serde_json::{json, Value};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

impl Api {
    /// `message/{id}/sa-check`.
    pub(super) async fn spam_check(&self, message: &Stored) -> Result<Response, Response> {
        let Some(spamd) = self.settings.spamassassin.clone() else {
            return Err(bad("SpamAssassin is not enabled: start with --enable-spamassassin HOST:PORT (MP_ENABLE_SPAMASSASSIN)"));
        };
        let source = message.source.clone();
        let asked = self.helpers.run(move || ask(&spamd, &source)).await;
        let answer = asked.and_then(|answer| answer.map_err(|error| error.to_string()));
        let shown = answer.and_then(|answer| {
            report(&answer).ok_or_else(|| "spamd's answer cannot be understood".to_string())
        });
        Ok(Response::json(&shown.unwrap_or_else(
            |error| json!({"Error": error, "IsSpam": false, "Rules": null, "Score": 0.0}),
        )))
    }
}

/// Asks; blocks.
fn ask(spamd: &str, source: &[u8]) -> io::Result<String> {
    let limit = Duration::from_secs(SANDBOX_SPAM_SECS);
    let address = spamd
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other(format!("{spamd} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    write!(stream, "REPORT SPAMC/1.5\r\nContent-length: {}\r\n\r\n", source.len())?;
    stream.write_all(source)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.take(SANDBOX_SPAM_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The rules of a report: a table of points, names and descriptions, the latter over several lines.
fn report(answer: &str) -> Option<Value> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let (first, code) = lines.next()?.split_once(' ')?;
    if !first.starts_with("SPAMD/") {
        return None;
    }
    if !code.starts_with("0 ") {
        return Some(json!({"Error": code, "IsSpam": false, "Rules": null, "Score": 0.0}));
    }
    let verdict = lines.find_map(|line| line.strip_prefix("Spam:"))?;
    let (is_spam, points) = verdict.split_once(';')?;
    let score: f64 = points.split('/').next()?.trim().parse().ok()?;
    let is_spam = ["true", "yes"].contains(&is_spam.trim().to_ascii_lowercase().as_str());
    Some(json!({"Error": "", "IsSpam": is_spam, "Rules": rules(body), "Score": score}))
}

fn rules(body: &str) -> Vec<Value> {
    let mut rules: Vec<(f64, String, String)> = Vec::new();
    let table = body.lines().skip_while(|line| !line.trim_start().starts_with("----")).skip(1);
    for line in table {
        let mut words = line.split_whitespace();
        let rule = words.next().and_then(|points| points.parse().ok()).zip(words.next());
        let text = words.collect::<Vec<_>>().join(" ");
        match (rule, rules.last_mut()) {
            (Some((points, name)), _) => rules.push((points, name.to_string(), text)),
            (None, Some((_, _, description))) if line.starts_with(' ') => {
                description.push(' ');
                description.push_str(line.trim());
            }
            _ => {}
        }
    }
    let told = |(points, name, text): (f64, String, String)| json!({"Score": points, "Name": name, "Description": text.trim()});
    rules.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let answer = "SPAMD/1.1 0 EX_OK\r\nContent-length: 1\r\nSpam: True ; 6.2 / 5.0\r\n\r\nSpam detection\n\n\
            Content analysis details:   (6.2 points, 5.0 required)\n\n pts rule name              description\n\
            ---- ---------------------- ---------------------\n -0.0 NO_RELAYS              Informational: message was not\n\
            \x20                            relayed\n 6.2 GTUBE                  Generic Test\n\n";
        assert_eq!(
            report(answer).unwrap(),
            json!({"Error": "", "IsSpam": true, "Score": 6.2, "Rules": [
                {"Score": -0.0, "Name": "NO_RELAYS", "Description": "Informational: message was not relayed"},
                {"Score": 6.2, "Name": "GTUBE", "Description": "Generic Test"},
            ]})
        );
        let refused = report("SPAMD/1.0 76 Bad header line\r\n\r\n").unwrap();
        assert_eq!(refused["Error"], "76 Bad header line");
        for wrong in ["", "HTTP/1.1 200 OK\r\n\r\n", "SPAMD/1.1 0 EX_OK\r\n\r\n"] {
            assert!(report(wrong).is_none(), "{wrong}");
        }
    }
}

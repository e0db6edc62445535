//! A message shown to SpamAssassin, by spamd's protocol, or to rspamd, by its HTTP: one connection for each.

use crate::api::{bad, Api};
use crate::captured::Stored;
use crate::limits::{SANDBOX_SPAM_ANSWER_BYTES, SANDBOX_SPAM_SECS};
use crate::settings::SpamServer;
use crate::webhook::tls;
use ringmta_http::Response;
use serde::Deserialize;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

impl Api {
    /// `message/{id}/sa-check`.
    pub(super) async fn spam_check(&self, message: &Stored) -> Result<Response, Response> {
        let Some(server) = self.settings.spam_server.clone() else {
            return Err(bad("SpamAssassin is not enabled: start with --enable-spamassassin HOST:PORT (MP_ENABLE_SPAMASSASSIN)"));
        };
        let (source, untrusted_tls) = (message.source.clone(), self.settings.untrusted_tls);
        let work = move || match server {
            SpamServer::Spamd(at) => {
                let answer = ask(&at, &source).map_err(|error| error.to_string())?;
                report(&answer).ok_or_else(|| "spamd's answer cannot be understood".to_string())
            }
            SpamServer::Rspamd(url) => ask_rspamd(&url, untrusted_tls, &source),
        };
        let shown = self.helpers.run(work).await.and_then(|shown| shown);
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

/// Asks rspamd; blocks. The answer is as SpamAssassin's: spam is what it would refuse or mark, and a rule is what it calls a
/// symbol.
fn ask_rspamd(url: &str, untrusted_tls: bool, source: &[u8]) -> Result<Value, String> {
    let said = |error: ureq::Error| error.to_string();
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(SANDBOX_SPAM_SECS)))
        .proxy(None)
        .tls_config(tls(untrusted_tls))
        .build()
        .new_agent();
    let mut answer = agent.post(format!("{url}/checkv2")).send(source).map_err(said)?;
    let body = answer.body_mut().with_config().limit(SANDBOX_SPAM_ANSWER_BYTES);
    let answer = body.read_to_string().map_err(said)?;
    verdict(&answer).ok_or_else(|| "rspamd's answer cannot be understood".to_string())
}

#[derive(Deserialize)]
struct Verdict {
    score: f64,
    action: String,
    #[serde(default)]
    symbols: BTreeMap<String, Symbol>,
}

#[derive(Deserialize)]
struct Symbol {
    #[serde(default)]
    score: f64,
    #[serde(default)]
    description: Option<String>,
}

fn verdict(answer: &str) -> Option<Value> {
    let Verdict { score, action, symbols } = serde_json::from_str(answer).ok()?;
    let is_spam = ["reject", "rewrite subject", "add header"].contains(&action.as_str());
    let mut symbols: Vec<(String, Symbol)> = symbols.into_iter().collect();
    symbols.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
    let rules = symbols.into_iter().map(|(name, Symbol { score, description })| {
        json!({"Score": score, "Name": name, "Description": description.unwrap_or_default()})
    });
    Some(
        json!({"Error": "", "IsSpam": is_spam, "Rules": rules.collect::<Vec<_>>(), "Score": score}),
    )
}

/// The rules of a report: a table of points, names and descriptions, the latter over several lines.
pub(super) fn report(answer: &str) -> Option<Value> {
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
    fn rspamd_is_asked() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = r#"{"is_skipped":false,"score":7.5,"required_score":15.0,"action":"add header","symbols":{
            "ARC_NA":{"name":"ARC_NA","score":0.0},
            "GTUBE":{"name":"GTUBE","score":6.5,"description":"Generic Test","options":["x"]},
            "MISSING_DATE":{"name":"MISSING_DATE","score":1.0,"description":null}},"messages":{},"message-id":"x"}"#;
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut heard, mut space) = (Vec::new(), [0; 4096]);
            while !heard.ends_with(b"the body\r\n") {
                let read = stream.read(&mut space).unwrap();
                heard.extend_from_slice(&space[..read]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
            String::from_utf8(heard).unwrap()
        });
        let shown = ask_rspamd(&url, false, b"Subject: x\r\n\r\nthe body\r\n").unwrap();
        assert!(server.join().unwrap().starts_with("POST /checkv2 HTTP/1.1\r\n"));
        assert_eq!(
            shown,
            json!({"Error": "", "IsSpam": true, "Score": 7.5, "Rules": [
                {"Score": 6.5, "Name": "GTUBE", "Description": "Generic Test"},
                {"Score": 1.0, "Name": "MISSING_DATE", "Description": ""},
                {"Score": 0.0, "Name": "ARC_NA", "Description": ""},
            ]})
        );
        let clean = verdict(r#"{"score":-1.5,"action":"no action"}"#).unwrap();
        assert_eq!((&clean["IsSpam"], &clean["Rules"]), (&json!(false), &json!([])));
        assert!(ask_rspamd(&url, false, b"x").is_err() && verdict("{}").is_none());
    }

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

//! `POST /api/v1/send`: a message given as JSON, made into mail and stored.

use crate::api::{only, Answer, Api};
use crate::message::{Envelope, SessionInfo};
use crate::offload::is_long;
use crate::passwords::{basic, not_before, TOO_MANY};
use crate::settings::SendLogins;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::Engine;
use mail_parser::DateTime;
use ringmta_http::{header, Method, Request, Response, StatusCode};
use ringmta_io as io;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// A message to be made.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Send {
    from: Person,
    #[serde(default)]
    to: Option<Vec<Person>>,
    #[serde(default)]
    cc: Option<Vec<Person>>,
    #[serde(default)]
    bcc: Option<Vec<String>>,
    #[serde(default)]
    reply_to: Option<Vec<Person>>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default, rename = "HTML")]
    html: Option<String>,
    #[serde(default)]
    attachments: Option<Vec<Attachment>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Person {
    #[serde(default)]
    name: String,
    email: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    content: String,
    #[serde(default)]
    filename: String,
    #[serde(default)]
    content_type: String,
    #[serde(default, rename = "ContentID")]
    content_id: String,
}

impl Send {
    /// One with everything, for the API's description.
    pub(super) fn example() -> Send {
        let person = |name: &str, email: &str| Person { name: name.into(), email: email.into() };
        let text = |text: &str| Some(text.to_string());
        Send {
            from: person("Ann", "ann@example.com"),
            to: Some(vec![person("Bob", "bob@example.org")]),
            cc: Some(vec![person("Carl", "carl@example.org")]),
            bcc: Some(vec!["dora@example.org".into()]),
            reply_to: Some(vec![person("Help", "help@example.com")]),
            subject: text("Your order"),
            text: text("Thank you"),
            html: text("<p>Thank <b>you</b></p>"),
            attachments: Some(vec![Attachment {
                content: BASE64.encode("a,b\n"),
                filename: "list.csv".into(),
                content_type: "text/csv".into(),
                content_id: "list".into(),
            }]),
            tags: Some(vec!["orders".into()]),
            headers: Some(BTreeMap::from([("X-Order".into(), "4711".into())])),
        }
    }
}

impl Api {
    /// Stores the message of the request; answers `{"ID"}` or `{"Error"}`.
    pub(super) async fn send(&self, request: &Request) -> Answer {
        only(request, &[Method::POST])?;
        let user = caller(self, request).await?;
        Ok(take(self, request, user).await)
    }
}

async fn take(api: &Api, request: &Request, user: Option<String>) -> Response {
    let body = request.body.clone();
    let work = move || mail_of(&body);
    let made = match is_long(request.body.len()) {
        true => api.looks.run(work).await.and_then(|made| made),
        false => work(),
    };
    match made {
        Ok((envelope, source)) => {
            let session = SessionInfo {
                client: Some(request.peer),
                protocol: "HTTP".into(),
                auth_user: user,
                ..SessionInfo::default()
            };
            match api.store.add(envelope, session, source).await {
                Ok(id) => Response::json(&json!({"ID": id})),
                Err(failed) => refused(StatusCode::INTERNAL_SERVER_ERROR, &failed.0),
            }
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

/// The message that a body asks for; takes as long as the body is.
fn mail_of(body: &[u8]) -> Result<(Envelope, Vec<u8>), String> {
    let send = serde_json::from_slice::<Send>(body).map_err(|error| error.to_string())?;
    let source = compose(&send)?;
    Ok((envelope(&send), source))
}

fn refused(status: StatusCode, error: &str) -> Response {
    let mut response = Response::json(&json!({"Error": error}));
    response.status = status;
    response
}

/// The name of who sends, where one is given.
async fn caller(api: &Api, request: &Request) -> Result<Option<String>, Response> {
    match &api.settings.send_logins {
        SendLogins::AsPage | SendLogins::Any => Ok(basic(request).map(|(name, _)| name)),
        SendLogins::File(logins) => match logins.caller(request).await {
            Ok(Some(name)) => Ok(Some(name)),
            Ok(None) => Err(refused(StatusCode::UNAUTHORIZED, "Unauthorized")
                .header(header::WWW_AUTHENTICATE, "Basic realm=\"ringmta\"")),
            Err(wait) => Err(not_before(wait, refused(StatusCode::TOO_MANY_REQUESTS, TOO_MANY))),
        },
    }
}

fn envelope(send: &Send) -> Envelope {
    let named = [&send.to, &send.cc].into_iter().flatten().flatten().map(|to| to.email.clone());
    let hidden = send.bcc.iter().flatten().cloned();
    Envelope { mail_from: send.from.email.clone(), rcpt_to: named.chain(hidden).collect() }
}

fn compose(send: &Send) -> Result<Vec<u8>, String> {
    check_addresses(send)?;
    let boundary = format!("=_{:016x}{:016x}", io::random_u64(), io::random_u64());
    let mut mail = head(send)?;
    let text = send.text.as_deref().unwrap_or("");
    let html = send.html.as_deref().unwrap_or("");
    let mut parts = Vec::new();
    if !text.is_empty() || html.is_empty() {
        parts.push(part("text/plain; charset=utf-8", "", text.as_bytes()));
    }
    if !html.is_empty() {
        parts.push(part("text/html; charset=utf-8", "", html.as_bytes()));
    }
    let mut body = join(parts, "alternative", &format!("{boundary}a"));
    let attachments = send.attachments.as_deref().unwrap_or_default();
    if !attachments.is_empty() {
        let files = attachments.iter().map(attach).collect::<Result<Vec<_>, _>>()?;
        let all = std::iter::once(body).chain(files).collect();
        body = join(all, "mixed", &format!("{boundary}m"));
    }
    mail.push_str("MIME-Version: 1.0\r\n");
    mail.push_str(&body);
    Ok(mail.into_bytes())
}

fn check_addresses(send: &Send) -> Result<(), String> {
    let people = [&send.to, &send.cc, &send.reply_to].into_iter().flatten().flatten();
    let addresses = people.map(|one| &one.email).chain(send.bcc.iter().flatten());
    for address in std::iter::once(&send.from.email).chain(addresses) {
        let shaped = address.split_once('@').is_some_and(|(l, d)| !l.is_empty() && !d.is_empty());
        if !shaped || address.chars().any(|c| c.is_control() || " <>,;".contains(c)) {
            return Err(format!("`{address}` is not an email address"));
        }
    }
    Ok(())
}

fn head(send: &Send) -> Result<String, String> {
    let seconds = i64::try_from(io::unix_nanos() / 1_000_000_000).unwrap_or(0);
    let date = DateTime::from_timestamp(seconds).to_rfc822();
    let mut head = format!("Date: {date}\r\nFrom: {}\r\n", person(&send.from));
    for (name, list) in [("To", &send.to), ("Cc", &send.cc), ("Reply-To", &send.reply_to)] {
        let list: Vec<String> = list.iter().flatten().map(person).collect();
        if !list.is_empty() {
            head.push_str(&format!("{name}: {}\r\n", list.join(",\r\n ")));
        }
    }
    head.push_str(&format!("Subject: {}\r\n", encoded(send.subject.as_deref().unwrap_or(""))));
    let own_id = send.headers.iter().flatten().any(|(k, _)| k.eq_ignore_ascii_case("message-id"));
    if !own_id {
        head.push_str(&format!("Message-ID: <{:016x}@sandbox.ringmta>\r\n", io::random_u64()));
    }
    if let Some(tags) = send.tags.as_ref().filter(|tags| !tags.is_empty()) {
        head.push_str(&format!("X-Tags: {}\r\n", one_line(&tags.join(", "))));
    }
    for (name, value) in send.headers.iter().flatten() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            return Err(format!("`{}` is not a header name", one_line(name)));
        }
        head.push_str(&format!("{name}: {}\r\n", encoded(value)));
    }
    Ok(head)
}

fn person(person: &Person) -> String {
    let name = one_line(&person.name);
    if name.is_empty() {
        return format!("<{}>", person.email);
    }
    let spelled = if name.is_ascii() {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        encoded(&name)
    };
    format!("{spelled} <{}>", person.email)
}

/// A header's text; words of RFC 2047 when it is not ASCII.
fn encoded(text: &str) -> String {
    let text = one_line(text);
    if text.is_ascii() {
        return text;
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        // 45 bytes make 60 characters of base64: with its frame a word stays below 75.
        if word.len() + c.len_utf8() > 45 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word))).collect();
    words.join("\r\n ")
}

/// No caller's text may start a header of its own.
fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_string()
}

fn attach(file: &Attachment) -> Result<String, String> {
    let bytes = BASE64
        .decode(file.content.trim())
        .map_err(|error| format!("attachment `{}`: {error}", one_line(&file.filename)))?;
    let kind = one_line(&file.content_type);
    let kind = if kind.is_empty() { "application/octet-stream" } else { &kind };
    let id = one_line(&file.content_id);
    let disposition = if id.is_empty() { "attachment" } else { "inline" };
    let name = encoded(&file.filename).replace('"', "'");
    let mut extra = format!("Content-Disposition: {disposition}; filename=\"{name}\"\r\n");
    if !id.is_empty() {
        extra.push_str(&format!("Content-ID: <{id}>\r\n"));
    }
    Ok(part(kind, &extra, &bytes))
}

fn part(kind: &str, extra: &str, bytes: &[u8]) -> String {
    let mut part =
        format!("Content-Type: {kind}\r\n{extra}Content-Transfer-Encoding: base64\r\n\r\n");
    let code = BASE64.encode(bytes);
    let mut rest = code.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(76));
        part.push_str(line);
        part.push_str("\r\n");
        rest = more;
    }
    part
}

fn join(mut parts: Vec<String>, kind: &str, boundary: &str) -> String {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut out = format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n");
    for part in parts {
        out.push_str(&format!("--{boundary}\r\n{part}\r\n"));
    }
    out.push_str(&format!("--{boundary}--\r\n"));
    out
}

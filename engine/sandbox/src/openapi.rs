//! The API described for programs (OpenAPI 2.0, as Mailpit has it) and for people.

use crate::view;
use ringmta_http::Response;
use serde_json::{json, Map, Value};

/// One thing the API does.
struct Route {
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// Parameters of the query, each `name: what it is`.
    query: &'static [&'static str],
    /// What the body holds.
    body: &'static str,
    /// What the answer is.
    produces: &'static str,
}

const ID: &str = "/api/v1/message/{ID}";
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
const QUERY: &str = "query: a search";
const TZ: &str = "tz: time zone of dates in the search, such as Europe/Berlin";
const START: &str = "start: how many of the newest are passed over";
const LIMIT: &str = "limit: how many are given; 50 unless told, 10,000 at most, as for 0";

macro_rules! routes {
    ($($method:literal $path:expr, $tag:literal, $summary:literal, $query:expr, $body:literal, $produces:expr;)*) => {
        &[$(Route { method: $method, path: $path, tag: $tag, summary: $summary, query: $query, body: $body, produces: $produces }),*]
    };
}

/// Everything below `/api/v1`, and the direct views.
const ROUTES: &[Route] = routes! {
    "get" "/api/v1/info", "application", "Version, counts, memory, uptime", &[], "", JSON;
    "get" "/api/v1/webui", "application", "What this inbox offers its page", &[], "", JSON;
    "get" "/api/v1/messages", "messages", "Messages, newest first", &[START, LIMIT, "before: only older ones than this moment", TZ], "", JSON;
    "put" "/api/v1/messages", "messages", "Set the read state, of all where neither IDs nor Search is given", &[TZ], "{Read, IDs[], Search}", TEXT;
    "delete" "/api/v1/messages", "messages", "Delete messages, all where no IDs are given", &[], "{IDs[]}", TEXT;
    "get" "/api/v1/search", "messages", "Messages that match, newest first", &[QUERY, START, LIMIT, TZ], "", JSON;
    "delete" "/api/v1/search", "messages", "Delete the messages that match", &[QUERY, TZ], "", TEXT;
    "get" "/api/v1/wait", "messages", "Wait until so many messages match, then answer as a search; 408 when they do not come (not of Mailpit)",
        &[QUERY, "count: how many; 1 unless told", "timeout: seconds; 10 unless told", TZ], "", JSON;
    "get" ID, "message", "One message; it is read from then on", &[], "", JSON;
    "get" "/api/v1/message/{ID}/headers", "message", "Its header fields", &[], "", JSON;
    "get" "/api/v1/message/{ID}/raw", "message", "Its source", &["dl: 1 to save it"], "", TEXT;
    "get" "/api/v1/message/{ID}/part/{PartID}", "message", "An attachment", &[], "", "application/octet-stream";
    "get" "/api/v1/message/{ID}/part/{PartID}/thumb", "message", "A picture in small, 180 by 120", &[], "", "image/jpeg";
    "post" "/api/v1/message/{ID}/release", "message", "Send it to the configured relay", &[], "{To[]}", TEXT;
    "post" "/api/v1/send", "message", "Put a message into the inbox", &[],
        "{From{Email, Name}, To[{Email, Name}], Cc[], Bcc[address], ReplyTo[], Subject, Text, HTML, Attachments[{Content, Filename, ContentType, ContentID}], Tags[], Headers{}}", JSON;
    "get" "/api/v1/message/{ID}/html-check", "checks", "How well mail clients show its HTML", &[], "", JSON;
    "get" "/api/v1/message/{ID}/link-check", "checks", "Try its links", &["follow: true to follow redirects"], "", JSON;
    "get" "/api/v1/message/{ID}/sa-check", "checks", "Ask SpamAssassin", &[], "", JSON;
    "get" "/api/v1/tags", "tags", "Tags in use", &[], "", JSON;
    "put" "/api/v1/tags", "tags", "Give messages these tags instead of theirs", &[], "{IDs[], Tags[]}", TEXT;
    "put" "/api/v1/tags/{Tag}", "tags", "Rename a tag", &[], "{Name}", TEXT;
    "delete" "/api/v1/tags/{Tag}", "tags", "Take a tag from all messages", &[], "", TEXT;
    "get" "/api/v1/chaos", "chaos", "Errors on purpose, as they stand", &[], "", JSON;
    "put" "/api/v1/chaos", "chaos", "Put all of them anew; one that is left out is off", &[],
        "{Sender{ErrorCode, Probability}, Recipient{}, Authentication{}; and of our own Greeting{}, Ehlo{}, StartTLS{}, Data{}, Message{}, each with Text, DelayMs, Drop, Domain; Seed}", JSON;
    "get" "/view/{ID}.html", "views", "A message's HTML alone", &["remote: 1 to let it load what it names"], "", "text/html";
    "get" "/proxy", "views", "What a message's HTML loads from elsewhere: pictures, style sheets, fonts", &["data: ID:URL in base64"], "", "image/png";
    "get" "/view/{ID}.txt", "views", "A message's text alone", &[], "", TEXT;
};

/// The answer of `swagger.json`.
pub fn document(root: &str) -> Response {
    view::contained(Response::json(&described(root)), view::VIEW_POLICY)
}

fn described(root: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = json!({
            "tags": [route.tag],
            "summary": route.summary,
            "operationId": name(route),
            "produces": [route.produces],
            "parameters": parameters(route),
            "responses": {
                "200": {"description": "Done"},
                "400": {"description": "What is wrong with the request, as text"},
                "404": {"description": "There is no such thing"},
            },
        });
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "The inbox's API, which is Mailpit's (v1)", "version": "v1"},
        "basePath": root.trim_end_matches('/'),
        "schemes": ["http", "https"],
        "paths": paths,
    })
}

fn name(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.method.to_string(), |name, word| {
        name + &word[..1].to_ascii_uppercase() + &word[1..]
    })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let mut all: Vec<Value> = in_path
        .map(|(name, _)| {
            let text = if name == "ID" { "its id, or latest" } else { "" };
            json!({"name": name, "in": "path", "required": true, "type": "string", "description": text})
        })
        .collect();
    for (name, text) in route.query.iter().filter_map(|one| one.split_once(": ")) {
        all.push(json!({"name": name, "in": "query", "type": "string", "description": text}));
    }
    if !route.body.is_empty() {
        let schema = json!({"type": "object"});
        all.push(
            json!({"name": "Body", "in": "body", "description": route.body, "schema": schema}),
        );
    }
    all
}

/// The page at `/api/v1/`: the same as a table.
pub fn page(root: &str) -> Response {
    let base = root.trim_end_matches('/');
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let row = |route: &Route| {
        let query: String = route.query.iter().map(|one| format!("<br>?{}", escape(one))).collect();
        let body = match route.body {
            "" => String::new(),
            body => format!("<br>body: <code>{}</code>", escape(body)),
        };
        format!(
            "<tr><td>{}<td><code>{base}{}</code><td>{}{query}{body}",
            route.method.to_uppercase(),
            escape(route.path),
            escape(route.summary)
        )
    };
    let rows: String = ROUTES.iter().map(row).collect();
    let html = format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>API of the inbox</title><style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
         padding:0 1rem;max-width:70rem;color:#1c2b28;background:#fff}}table{{border-collapse:collapse;width:100%}}\
         td{{border-top:1px solid #d5ddda;padding:.5rem .75rem .5rem 0;vertical-align:top;overflow-wrap:anywhere}}td:first-child{{white-space:nowrap}}\
         @media(prefers-color-scheme:dark){{body{{background:#111917;color:#dfe8e5}}td{{border-color:#2c3a36}}a{{color:#7cc4b2}}}}</style>\
         <h1>API of the inbox</h1><p>Its paths and answers are Mailpit's (v1). For programs: \
         <a href='{base}/api/v1/swagger.json'>swagger.json</a> · <a href='{base}/'>inbox</a>\
         <table>{rows}</table>"
    );
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    view::contained(Response::html(html), policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_described_once() {
        let document = described("/inbox/");
        let count: usize = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(count, ROUTES.len());
        assert_eq!(document["basePath"], "/inbox");
        let part = &document["paths"]["/api/v1/message/{ID}/part/{PartID}"]["get"];
        assert_eq!(part["parameters"][1]["name"], "PartID");
        assert_eq!(part["operationId"], "getMessageIDPartPartID");
    }
}

//! The API described for programs (OpenAPI 2.0, with the names of Mailpit's description, so that clients generated from either
//! are the same) and for people.

use crate::{models, view};
use ringmta_http::Response;
use serde_json::{json, Map, Value};

/// One thing the API does.
struct Route {
    method: &'static str,
    path: &'static str,
    /// What generated clients call it.
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    /// Parameters of the query, each `name: what it is`.
    query: &'static [&'static str],
    /// What the body is, by its name among the models.
    body: &'static str,
    gives: Gives,
}

/// What an answer is.
enum Gives {
    /// JSON, by its name among the models.
    Model(&'static str),
    /// Text.
    Text,
    /// Bytes of this type.
    Bytes(&'static str),
}
use Gives::{Bytes, Model, Text};

const ID: &str = "/api/v1/message/{ID}";
const QUERY: &str = "query: a search";
const TZ: &str = "tz: time zone of dates in the search, such as Europe/Berlin";
const START: &str = "start: how many of the newest are passed over";
const LIMIT: &str = "limit: how many are given; 50 unless told, 10,000 at most, as for 0";
const BEFORE: &str = "before: only older ones than this moment";

macro_rules! routes {
    ($($method:literal $path:expr, $id:literal, $tag:literal, $summary:literal, $query:expr, $body:literal, $gives:expr;)*) => {
        &[$(Route { method: $method, path: $path, id: $id, tag: $tag, summary: $summary, query: $query, body: $body, gives: $gives }),*]
    };
}

/// Everything below `/api/v1`, and the direct views.
const ROUTES: &[Route] = routes! {
    "get" "/api/v1/info", "AppInformation", "application", "Version, counts, memory, uptime", &[], "", Model("AppInformation");
    "get" "/api/v1/webui", "WebUIConfiguration", "application", "What this inbox offers its page", &[], "", Model("WebUIConfiguration");
    "get" "/api/v1/messages", "GetMessagesParams", "messages", "Messages, newest first", &[START, LIMIT, BEFORE, TZ], "", Model("MessagesSummary");
    "put" "/api/v1/messages", "SetReadStatusParams", "messages", "Set the read state, of all where neither IDs nor Search is given", &[TZ], "ReadStatus", Text;
    "delete" "/api/v1/messages", "DeleteMessagesParams", "messages", "Delete messages, all where no IDs are given", &[], "MessageIDs", Text;
    "get" "/api/v1/search", "SearchParams", "messages", "Messages that match, newest first", &[QUERY, START, LIMIT, BEFORE, TZ], "", Model("MessagesSummary");
    "delete" "/api/v1/search", "DeleteSearchParams", "messages", "Delete the messages that match", &[QUERY, TZ], "", Text;
    "get" "/api/v1/wait", "WaitParams", "messages", "Wait until so many messages match, then answer as a search; 408 when they do not come (not of Mailpit)",
        &[QUERY, "count: how many; 1 unless told", "timeout: seconds; 10 unless told", TZ], "", Model("MessagesSummary");
    "get" ID, "GetMessageParams", "message", "One message; it is read from then on", &[], "", Model("Message");
    "get" "/api/v1/message/{ID}/headers", "GetHeadersParams", "message", "Its header fields", &[], "", Model("MessageHeadersResponse");
    "get" "/api/v1/message/{ID}/raw", "DownloadRawParams", "message", "Its source", &["dl: 1 to save it"], "", Text;
    "get" "/api/v1/message/{ID}/part/{PartID}", "AttachmentParams", "message", "An attachment", &[], "", Bytes("application/octet-stream");
    "get" "/api/v1/message/{ID}/part/{PartID}/thumb", "ThumbnailParams", "message", "A picture in small, 180 by 120", &[], "", Bytes("image/jpeg");
    "post" "/api/v1/message/{ID}/release", "ReleaseMessageParams", "message", "Send it to the configured relay", &[], "Recipients", Text;
    "post" "/api/v1/send", "SendMessageParams", "message", "Put a message into the inbox", &[], "SendRequest", Model("SendMessageConfirmation");
    "get" "/api/v1/message/{ID}/html-check", "HTMLCheckParams", "checks", "How well mail clients show its HTML", &[], "", Model("HTMLCheckResponse");
    "get" "/api/v1/message/{ID}/link-check", "LinkCheckParams", "checks", "Try its links", &["follow: true to follow redirects"], "", Model("LinkCheckResponse");
    "get" "/api/v1/message/{ID}/sa-check", "SpamAssassinCheckParams", "checks", "Ask SpamAssassin", &[], "", Model("SpamAssassinResponse");
    "get" "/api/v1/tags", "GetAllTags", "tags", "Tags in use", &[], "", Model("TagNames");
    "put" "/api/v1/tags", "SetTagsParams", "tags", "Give messages these tags instead of theirs", &[], "Tagging", Text;
    "put" "/api/v1/tags/{Tag}", "RenameTagParams", "tags", "Rename a tag", &[], "TagName", Text;
    "delete" "/api/v1/tags/{Tag}", "DeleteTagParams", "tags", "Take a tag from all messages", &[], "", Text;
    "get" "/api/v1/chaos", "getChaos", "chaos", "Errors on purpose, as they stand", &[], "", Model("Triggers");
    "put" "/api/v1/chaos", "setChaosParams", "chaos", "Put all of them anew; one that is left out is off", &[], "Triggers", Model("Triggers");
    "get" "/view/{ID}.html", "GetMessageHTMLParams", "views", "A message's HTML alone", &["remote: 1 to let it load what it names"], "", Bytes("text/html");
    "get" "/view/{ID}.txt", "GetMessageTextParams", "views", "A message's text alone", &[], "", Text;
    "get" "/proxy", "ProxyParams", "views", "What a message's HTML loads from elsewhere: pictures, style sheets, fonts", &["data: ID:URL in base64"], "", Bytes("image/png");
};

/// The answer of `swagger.json`; takes a moment.
pub fn document(root: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "The inbox's API, which is Mailpit's (v1)", "version": "v1"},
        "basePath": if root == "/" { "/" } else { root.trim_end_matches('/') },
        "schemes": ["http", "https"],
        "consumes": ["application/json"],
        "paths": paths,
        "definitions": models::definitions().into_value(),
    })
}

fn operation(route: &Route) -> Value {
    let text = json!({"type": "string"});
    let (kind, schema) = match route.gives {
        Model(name) => ("application/json", reference(name)),
        Text => ("text/plain", text.clone()),
        Bytes("text/html") => ("text/html", text.clone()),
        Bytes(kind) => (kind, json!({"type": "file"})),
    };
    let wrong = match route.body {
        "SendRequest" => reference("JSONErrorMessage"),
        _ => text.clone(),
    };
    let answer = |description: &str, schema| json!({"description": description, "schema": schema});
    let mut answers = json!({
        "200": answer("Done", schema),
        "400": answer("What is wrong with the request", wrong),
    });
    if route.path.contains('{') {
        answers["404"] = answer("There is no such thing", text.clone());
    }
    if route.path.ends_with("/wait") {
        answers["408"] = answer("They did not come", text);
    }
    json!({
        "tags": [route.tag],
        "summary": route.summary,
        "operationId": route.id,
        "produces": [kind],
        "parameters": parameters(route),
        "responses": answers,
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let mut all: Vec<Value> = in_path
        .map(|(name, _)| {
            let text = match name {
                "ID" => "its id, or latest",
                "PartID" => "the id of a part, as the message has it",
                _ => "the name of a tag",
            };
            json!({"name": name, "in": "path", "required": true, "type": "string", "description": text})
        })
        .collect();
    for (name, text) in route.query.iter().filter_map(|one| one.split_once(": ")) {
        let kind = match name {
            "start" | "limit" | "count" | "timeout" => "integer",
            _ => "string",
        };
        let required = route.path.ends_with("/search") && name == "query" || name == "data";
        all.push(json!({"name": name, "in": "query", "type": kind, "required": required, "description": text}));
    }
    if !route.body.is_empty() {
        all.push(json!({"name": "Body", "in": "body", "schema": reference(route.body)}));
    }
    all
}

/// The page at `/api/v1/`: the same as a table; takes a moment.
pub fn page(root: &str) -> String {
    let base = root.trim_end_matches('/');
    let models = models::definitions().into_value();
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let row = |route: &Route| {
        let query: String = route.query.iter().map(|one| format!("<br>?{}", escape(one))).collect();
        let body = match route.body {
            "" => String::new(),
            body => format!("<br>body: <code>{}</code>", escape(&models::shape_of(&models, body))),
        };
        let gives = match route.gives {
            Model(name) => format!("<br>gives <code>{name}</code>"),
            Text | Bytes(_) => String::new(),
        };
        format!(
            "<tr><td>{}<td><code>{base}{}</code><td>{}{query}{body}{gives}",
            route.method.to_uppercase(),
            escape(route.path),
            escape(route.summary)
        )
    };
    let rows: String = ROUTES.iter().map(row).collect();
    format!(
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>API of the inbox</title><style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
         padding:0 1rem;max-width:70rem;color:#1c2b28;background:#fff}}table{{border-collapse:collapse;width:100%}}\
         td{{border-top:1px solid #d5ddda;padding:.5rem .75rem .5rem 0;vertical-align:top;overflow-wrap:anywhere}}td:first-child{{white-space:nowrap}}\
         @media(prefers-color-scheme:dark){{body{{background:#111917;color:#dfe8e5}}td{{border-color:#2c3a36}}a{{color:#7cc4b2}}}}</style>\
         <h1>API of the inbox</h1><p>Its paths and answers are Mailpit's (v1). For programs, with what each answer has: \
         <a href='{base}/api/v1/swagger.json'>swagger.json</a> · <a href='{base}/'>inbox</a>\
         <table>{rows}</table>"
    )
}

/// The description as it is answered: as JSON, or as a page.
pub fn answer(described: Described) -> Response {
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    match described {
        Described::Document(document) => {
            view::contained(Response::json(&document), view::VIEW_POLICY)
        }
        Described::Page(html) => view::contained(Response::html(html), POLICY),
    }
}

/// One of the two.
pub enum Described {
    /// For programs.
    Document(Value),
    /// For people.
    Page(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_described_once_by_what_there_is() {
        let described = document("/inbox/");
        let count: usize = described["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(count, ROUTES.len());
        assert_eq!(described["basePath"], "/inbox");
        let part = &described["paths"]["/api/v1/message/{ID}/part/{PartID}"]["get"];
        assert_eq!(part["parameters"][1]["name"], "PartID");
        let text = described.to_string();
        let references: Vec<&str> = text.split("#/definitions/").skip(1).collect();
        assert!(references.len() > ROUTES.len());
        for reference in references {
            let name = reference.split('"').next().unwrap();
            assert!(described["definitions"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn models_are_those_of_the_code() {
        let described = document("/");
        let models = &described["definitions"];
        for name in ["Message", "HTMLCheckResponse", "SpamAssassinResponse", "Triggers"] {
            assert!(models[name]["properties"].as_object().unwrap().len() >= 3, "{name}");
        }
        assert_eq!(models["SendRequest"]["required"], json!(["From"]));
        let person = &models["SendRequest"]["properties"]["From"];
        assert_eq!(person["required"], json!(["Email"]));
        let from = &models["Message"]["properties"]["From"]["$ref"];
        assert_eq!(from, "#/definitions/Address");
        let listed = &models["MessagesSummary"]["properties"]["messages"]["items"]["$ref"];
        assert_eq!(listed, "#/definitions/MessageSummary");
        let page = page("/");
        assert!(page.contains("{IDs[], Read, Search}"), "{page}");
    }
}

//! The OpenAPI 3.1 document, made of the table of paths, and a page that shows it without any other resource.

use crate::control::answers;
use crate::control::endpoints::{Endpoint, Field, Given, ENDPOINTS};
use crate::limits::ORDER_SECS_MAX;
use ringmta_http::page::Page;
use ringmta_http::Response;
use serde_json::{json, Map, Value};

/// Numbers with units, added up; a bare number is seconds.
const DURATION: &str =
    "^([0-9]{1,6}|([0-9]{1,6} ?(ms|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?) ?)+)$";

fn schema(kind: &str) -> Value {
    match kind {
        "boolean" => json!({"type": "boolean"}),
        "integer" => json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
        "strings" => json!({"type": "array", "items": {"type": "string"}}),
        "map" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "duration" => json!({
            "type": ["string", "number"], "minimum": 0, "maximum": ORDER_SECS_MAX, "pattern": DURATION,
            "examples": ["10m", 600],
        }),
        "time" => json!({"type": "string", "format": "date-time"}),
        "name" => json!({"type": "string", "minLength": 1}),
        "id" => json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        "object" => json!({"type": "object"}),
        "dialect" => json!({"type": "string", "enum": ["Jinja", "Handlebars", "Static"]}),
        "by" => json!({"type": "string", "enum": ["provider", "domain", "tenant", "source"]}),
        "about" => {
            json!({"type": "string", "enum": ["message", "queue", "domain", "site", "source", "pool"]})
        }
        "recipients" => json!({"type": "array", "items": {
            "type": "object", "required": ["email"], "additionalProperties": false,
            "properties": {
                "email": {"type": "string"}, "name": {"type": ["string", "null"]},
                "substitutions": {"type": "object"}, "metadata": {"type": "object"},
            },
        }}),
        "content" => json!({"type": ["string", "object"]}),
        _ => json!({"type": "string"}),
    }
}

fn parameter(field: &Field) -> Value {
    json!({
        "name": field.name, "in": "query", "required": field.given == Given::Must,
        "description": field.doc, "schema": schema(field.kind),
    })
}

fn body(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut told = schema(field.kind);
        told["description"] = field.doc.into();
        // What need not be given may be null as well.
        if field.given != Given::Must && matches!(field.kind, "string" | "id" | "time" | "duration")
        {
            let mut kinds = vec![json!("null")];
            match &told["type"] {
                Value::Array(some) => kinds.extend(some.iter().cloned()),
                one => kinds.push(one.clone()),
            }
            told["type"] = kinds.into();
        }
        properties.insert(field.name.into(), told);
    }
    let required: Vec<&str> =
        fields.iter().filter(|field| field.given == Given::Must).map(|field| field.name).collect();
    let mut schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let group: Vec<&str> =
        fields.iter().filter(|field| field.given == Given::OneOf).map(|field| field.name).collect();
    if !group.is_empty() {
        schema["oneOf"] = group.iter().map(|name| only(name, &group)).collect();
    }
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

/// A body that has this one of a group of fields.
fn only(name: &str, group: &[&str]) -> Value {
    let kind = |other: &&str| if *other == name { "string" } else { "null" };
    let properties: Map<String, Value> =
        group.iter().map(|other| (other.to_string(), json!({"type": kind(other)}))).collect();
    json!({"required": [name], "properties": properties})
}

fn operation(endpoint: &Endpoint) -> Value {
    let name = endpoint.path.trim_matches('/').replace(['/', '-', '.'], "_");
    let text = json!({"description": "Words that say why.", "content": {"text/plain": {"schema": {"type": "string"}}}});
    let schema = match endpoint.answers {
        "application/json" => answers::schema(endpoint.call, endpoint.method),
        _ => json!({"type": "string"}),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({"description": endpoint.doc, "content": {endpoint.answers: {"schema": schema}}}),
    );
    for status in
        ["400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "501", "503"]
    {
        responses.insert(status.into(), text.clone());
    }
    let mut told = json!({
        "operationId": format!("{}_{name}", endpoint.method.to_lowercase()),
        "summary": endpoint.doc,
        "parameters": endpoint.query.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses,
    });
    if !endpoint.body.is_empty() {
        told["requestBody"] = body(endpoint.body);
    }
    told
}

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ringmta",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP API of an outbound mail engine. Paths that KumoMTA has answer in its shapes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "security": [{}, {"basic": []}, {"bearer": []}],
        "components": {"securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }},
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn rows(fields: &[Field]) -> String {
    let row = |field: &Field| {
        let must = match field.given {
            Given::Must => "required",
            Given::OneOf => "one of these",
            Given::May => "",
        };
        let (name, kind, doc) = (escaped(field.name), escaped(field.kind), escaped(field.doc));
        format!("<tr><td><code>{name}</code></td><td>{kind}</td><td>{must}</td><td>{doc}</td></tr>")
    };
    fields.iter().map(row).collect()
}

/// The page.
pub fn page() -> Response {
    let mut out = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>ringmta: HTTP API</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
         padding:0 1rem;color-scheme:light dark}code{font-size:.95em}details{border-top:1px solid #8886;padding:.5rem 0}\
         summary{cursor:pointer}table{border-collapse:collapse;width:100%;margin:.5rem 0}td{padding:.2rem .6rem .2rem 0;\
         vertical-align:top}b{display:inline-block;min-width:5rem}</style><h1>HTTP API</h1><p>Made of the same table that \
         requests are dispatched by; as a document for programs: <a href=\"/openapi.json\">openapi.json</a>.</p>",
    );
    for endpoint in ENDPOINTS {
        let Endpoint { method, path, doc, query, body, answers, .. } = *endpoint;
        let (path, doc) = (escaped(path), escaped(doc));
        out += &format!("<details><summary><b>{method}</b> <code>{path}</code> {doc}</summary>");
        for (heading, fields) in [("Query", query), ("Body (JSON)", body)] {
            if !fields.is_empty() {
                out += &format!("<p>{heading}</p><table>{}</table>", rows(fields));
            }
        }
        out += &format!("<p>Answers <code>{answers}</code>.</p></details>");
    }
    Page::new(out + "</html>").answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_in_the_document() {
        let document = document();
        for endpoint in ENDPOINTS {
            let told = &document["paths"][endpoint.path][endpoint.method.to_lowercase()];
            assert_eq!(told["summary"], endpoint.doc);
            for field in endpoint.body.iter().filter(|field| field.given == Given::Must) {
                let required =
                    &told["requestBody"]["content"]["application/json"]["schema"]["required"];
                assert!(required.as_array().unwrap().contains(&json!(field.name)), "{told}");
            }
        }
    }
}

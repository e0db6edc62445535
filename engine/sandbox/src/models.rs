//! What the API takes and gives, by name, for its description: each is made by the code that makes and reads it, of one message
//! that has everything.

use crate::api_messages::{Ids, ReadState};
use crate::api_tags::{Named, Tagging};
use crate::captured::{Captured, Stored};
use crate::chaos::Triggers;
use crate::choice::Page;
use crate::message::{parse, Envelope, SessionInfo};
use crate::release::To;
use crate::schema::Definitions;
use crate::send::Send;
use crate::settings::{Keeping, Settings};
use crate::store::Store;
use crate::{html_check, json, link_check, lists, spam_check};
use serde_json::{json, Value};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCE: &str = "From: Ann <ann@example.com>\r\nTo: Bob <bob@example.org>\r\nCc: carl@example.org\r\n\
    Bcc: dora@example.org\r\nReply-To: help@example.com\r\nSubject: Your order\r\nMessage-ID: <1@example.com>\r\n\
    Date: Sun, 22 Nov 2026 15:10:00 +0100\r\nList-Unsubscribe: <https://example.com/u>\r\n\
    List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/html\r\n\r\n<p style=\"display: grid\"><img src=\"cid:logo\"> Thank you</p>\r\n\
    --b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Disposition: inline; filename=logo.png\r\n\r\nx\r\n\
    --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=list.csv\r\n\r\na,b\r\n--b--\r\n";

/// Of a spamd, with one rule.
const REPORT: &str = "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6.5 / 5.0\r\n\r\n\
    ---- ----------------------\n 6.5 GTUBE                  Generic test\n";

/// All of them; takes a moment, for the data of the HTML check is read.
pub fn definitions() -> Definitions {
    let (message, tags) = (message(), BTreeMap::from([("orders".to_string(), 1)]));
    let store = Store::in_memory(Keeping::default());
    let summary = json::summary(&message);
    let page = Page { messages: vec![summary.clone()], matching: 1, unread: 1 };
    let whole = json::message(&message, &message.tags.borrow());
    let mut all = Definitions::default();
    all.answer("Address", summary["From"].clone());
    all.answer("Attachment", whole["Attachments"][0].clone());
    all.answer("MessageSummary", summary);
    all.answer("MessagesSummary", lists::list(&store, page, 0, tags.clone()));
    all.answer("Message", whole);
    all.map("MessageHeadersResponse", json!(message.parsed.headers));
    all.answer("AppInformation", lists::info(&store, tags, 1));
    all.answer("WebUIConfiguration", json::webui(&Settings::default(), "127.0.0.1:1025"));
    all.answer("HTMLCheckResponse", html_check::check(&message.parsed.html).unwrap_or_default());
    let link = link_check::told("https://example.com/", 200, "OK");
    all.answer("LinkCheckResponse", link_check::answer(vec![link]));
    all.answer("SpamAssassinResponse", spam_check::report(REPORT).unwrap_or_default());
    all.answer("SendMessageConfirmation", json!({"ID": message.id}));
    all.answer("JSONErrorMessage", json!({"Error": "what is wrong"}));
    all.answer("TagNames", json!(["orders"]));
    all.request("Triggers", &Triggers::example());
    all.request("SendRequest", &Send::example());
    all.request("MessageIDs", &Ids::example());
    all.request("ReadStatus", &ReadState::example());
    all.request("Tagging", &Tagging::example());
    all.request("TagName", &Named::example());
    all.request("Recipients", &To::example());
    all
}

fn message() -> Stored {
    let to = ["bob@example.org", "carl@example.org", "dora@example.org"];
    let envelope =
        Envelope { mail_from: "ann@example.com".into(), rcpt_to: to.map(String::from).into() };
    let session = SessionInfo {
        ehlo: "client.example.com".into(),
        tls: Some(("TLS13_AES_256_GCM_SHA384".into(), "TLSv1.3".into())),
        auth_user: Some("ann".into()),
        protocol: "ESMTPS".into(),
        ..SessionInfo::default()
    };
    let parsed = parse(SOURCE.as_bytes(), &envelope);
    let (id, source) = ("4oRBnPtCXgAqZniRhzLNmS".into(), SOURCE.into());
    let created_ms = parsed.date_ms.unwrap_or_default();
    let mail = Captured { id, created_ms, source, envelope, session, parsed };
    Stored {
        mail: Arc::new(mail),
        read: Cell::new(false),
        tags: RefCell::new(vec!["orders".into()]),
    }
}

/// What a request body is made of, as the page shows it.
pub fn shape_of(definitions: &Value, name: &str) -> String {
    crate::schema::shape(&definitions[name])
}

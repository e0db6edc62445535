//! `kumo.mimepart`, MIME parts as objects, and the message methods that need the tree.

use std::cell::RefCell;

use mlua::{
    AnyUserData, Error, IntoLua, Lua, MetaMethod, Result, Table, UserData, UserDataFields,
    UserDataMethods, UserDataRef, Value,
};
use ringmta_mail::message::Message;
use ringmta_mail::mime::{self, Attachment, Builder, Content, Part};

use super::delivery_status::{delivery_status, DsnParams};
use super::header_map::HeaderMap;
use crate::families::message::body::body_method;
use crate::families::message::body::ensure_body;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_json, to_json, to_plain, Object};
use crate::vm::read_options::options;

/// The Lua side of a part.
#[derive(Clone)]
pub(super) struct PartObject(pub Part);

fn text_of(v: &mlua::String) -> Content {
    Content::guess(&v.as_bytes())
}

fn utf8(call: &str, v: &mlua::String) -> Result<String> {
    let text =
        v.to_str().map_err(|_| Error::runtime(format!("{call}: the content is not UTF-8")))?;
    Ok(text.to_owned())
}

impl UserData for PartObject {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("id", |_, p| Ok(p.0.id()));
        fields.add_field_method_get("headers", |_, p| Ok(HeaderMap(p.0.clone())));
        fields.add_field_method_get("body", |lua, p| lua.create_string(p.0.content().bytes()));
        fields.add_field_method_set("body", |_, p, v: mlua::String| {
            p.0.replace(text_of(&v), None);
            Ok(())
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("append_part", |_, p, other: UserDataRef<PartObject>| {
            p.0.append(other.0.clone()).map_err(Error::runtime)
        });
        methods.add_method("replace_body", |_, p, (v, kind): (mlua::String, Option<String>)| {
            p.0.replace(text_of(&v), kind.as_deref());
            Ok(())
        });
        methods.add_method("rebuild", |_, p, _: mlua::MultiValue| Ok(PartObject(p.0.rebuild())));
        methods.add_method("get_simple_structure", |lua, p, ()| structure(lua, &p.0));
        methods.add_meta_method(MetaMethod::ToString, |lua, p, ()| lua.create_string(p.0.write()));
    }
}

fn structure(lua: &Lua, part: &Part) -> Result<Table> {
    let s = part.structure();
    let t = lua.create_table()?;
    t.set("text_part", s.text.map(PartObject))?;
    t.set("html_part", s.html.map(PartObject))?;
    t.set("amp_html_part", s.amp_html.map(PartObject))?;
    t.set("header_part", PartObject(s.header_part))?;
    let attachments = lua.create_table()?;
    for a in s.attachments {
        let one = lua.create_table()?;
        one.set("content_type", a.part.content_type().value)?;
        one.set("file_name", a.how.file_name)?;
        one.set("inline", a.how.inline)?;
        one.set("content_id", a.how.content_id)?;
        one.set("part", PartObject(a.part))?;
        attachments.push(one)?;
    }
    t.set("attachments", attachments)?;
    Ok(t)
}

/// `{ file_name, inline, content_id }`.
fn attachment(v: &Value) -> Result<Option<Attachment>> {
    let Value::Table(t) = v else {
        return match v {
            Value::Nil => Ok(None),
            other => Err(Error::runtime(format!(
                "attachment options must be a table, got a {}",
                other.type_name()
            ))),
        };
    };
    for pair in t.pairs::<String, Value>() {
        let (name, _) = pair?;
        if !["file_name", "inline", "content_id"].contains(&name.as_str()) {
            let known = ["file_name", "inline", "content_id"];
            let e = ringmta_options::suggest::unknown("field", &name, known.into_iter());
            return Err(Error::runtime(format!("attachment options: {e}")));
        }
    }
    Ok(Some(Attachment {
        file_name: t.get("file_name")?,
        inline: t.get::<Option<bool>>("inline")?.unwrap_or(false),
        content_id: t.get("content_id")?,
    }))
}

/// The Lua side of a builder.
struct BuilderObject(RefCell<Builder>);

impl UserData for BuilderObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("text_plain", |_, b, v: mlua::String| {
            let part = Part::leaf("text/plain", Content::Text(utf8("text_plain", &v)?));
            b.0.borrow_mut().text = Some(part);
            Ok(())
        });
        methods.add_method("text_html", |_, b, v: mlua::String| {
            let part = Part::leaf("text/html", Content::Text(utf8("text_html", &v)?));
            b.0.borrow_mut().html = Some(part);
            Ok(())
        });
        methods.add_method("text_amp_html", |_, b, v: mlua::String| {
            let part = Part::leaf("text/x-amp-html", Content::Text(utf8("text_amp_html", &v)?));
            b.0.borrow_mut().amp_html = Some(part);
            Ok(())
        });
        methods.add_method("attach", |_, b, (kind, v, how): (String, mlua::String, Value)| {
            let how = attachment(&how)?.unwrap_or_default();
            b.0.borrow_mut().attached.push(Part::binary(&kind, &v.as_bytes(), Some(&how)));
            Ok(())
        });
        methods.add_method("attach_part", |_, b, part: UserDataRef<PartObject>| {
            b.0.borrow_mut().attached.push(part.0.clone());
            Ok(())
        });
        methods.add_method("set_stable_content", |_, b, stable: bool| {
            b.0.borrow_mut().stable = stable;
            Ok(())
        });
        methods.add_method("build", |_, b, ()| {
            let b = b.0.borrow();
            let unique = if b.stable { None } else { Some(crate::families::uuid::text()) };
            let boundary = |name: &str| match &unique {
                None => name.to_owned(),
                Some(unique) => format!("{name}-{unique}"),
            };
            b.build(&boundary).map(PartObject).map_err(Error::runtime)
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.mimepart.builder",
        "",
        "any",
        "Makes a message of text, HTML and attachments.",
    ),
    FnDef::new("kumo.mimepart.parse", "text: string", "any", "Reads a message."),
    FnDef::new("kumo.mimepart.{new_text_plain,new_html}", "text: string", "any", "A part of text."),
    FnDef::new(
        "kumo.mimepart.new_text",
        "type: string, text: string",
        "any",
        "A part of text of another type.",
    ),
    FnDef::new(
        "kumo.mimepart.new_binary",
        "type: string, content: string, attachment?: table",
        "any",
        "A part of bytes.",
    ),
    FnDef::new(
        "kumo.mimepart.new_multipart",
        "type: string, parts: any[], boundary?: string",
        "any",
        "A part that holds parts.",
    ),
    FnDef::new(
        "kumo.generate_rfc3464_message",
        "options: kumo.DsnOptions, msg: any, record: table",
        "any",
        "The report of a record, when its kind is reported.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    use crate::vm::functions::def;
    let t = lua.create_table()?;
    def(lua, &t, "parse", |_, v: mlua::String| parse(&v.as_bytes()))?;
    def(lua, &t, "builder", |_, ()| Ok(BuilderObject(RefCell::default())))?;
    def(lua, &t, "new_text", |_, (kind, v): (String, mlua::String)| {
        Ok(PartObject(Part::leaf(&kind, Content::Text(utf8("new_text", &v)?))))
    })?;
    def(lua, &t, "new_text_plain", |_, v: mlua::String| {
        Ok(PartObject(Part::leaf("text/plain", Content::Text(utf8("new_text_plain", &v)?))))
    })?;
    def(lua, &t, "new_html", |_, v: mlua::String| {
        Ok(PartObject(Part::leaf("text/html", Content::Text(utf8("new_html", &v)?))))
    })?;
    def(lua, &t, "new_binary", |_, (kind, v, how): (String, mlua::String, Value)| {
        Ok(PartObject(Part::binary(&kind, &v.as_bytes(), attachment(&how)?.as_ref())))
    })?;
    def(lua, &t, "new_multipart", |_, (kind, parts, b): (String, Table, Option<String>)| {
        let parts = parts
            .sequence_values::<AnyUserData>()
            .map(|p| crate::vm::lua_value::borrow::<PartObject>(&p?, "a MIME part").map(|p| p.0))
            .collect::<Result<Vec<_>>>()?;
        let boundary = b.unwrap_or_else(crate::families::uuid::text);
        Part::multipart(&kind, parts, &boundary).map(PartObject).map_err(Error::runtime)
    })?;
    kumo.set("mimepart", t)?;
    report_maker(lua, kumo)
}

fn parse(bytes: &[u8]) -> Result<PartObject> {
    Part::parse(bytes).map(PartObject).map_err(Error::runtime)
}

/// `kumo.generate_rfc3464_message(params, original message, log record)`.
fn report_maker(lua: &Lua, kumo: &Table) -> Result<()> {
    type Args = (Value, Option<UserDataRef<Message>>, Value);
    let f = lua.create_async_function(|lua, (params, original, record): Args| async move {
        let ctx = vm::ctx(&lua)?;
        let params: DsnParams = options(&ctx, &to_plain(&params)?)?;
        let original = original.map(|m| m.clone());
        if let Some(m) = &original {
            ensure_body(&lua, m).await?;
        }
        let body = original.and_then(|m| m.body());
        let record = to_json(&record)?;
        let made = delivery_status(
            &params,
            body.as_ref().map(|b| b.as_slice()),
            &record,
            &crate::families::uuid::text(),
        );
        let failed = |e: String| Error::runtime(format!("kumo.generate_rfc3464_message: {e}"));
        let Some((to, report)) = made.map_err(failed)? else { return Ok(Value::Nil) };
        let address = |text: &str| ringmta_mail::EnvelopeAddress::parse(text);
        let to = address(&to).map_err(|e| failed(e.to_string()))?;
        let from = address("").map_err(|e| failed(e.to_string()))?;
        let id = ctx.host.new_message_id();
        let m = Message::new(id, from, vec![to], Default::default(), report.write().into());
        Object(m).into_lua(&lua)
    })?;
    kumo.set("generate_rfc3464_message", f)
}

/// Adds a text to the end of the first part of a kind.
fn append(m: &Message, body: &[u8], html: bool, more: &str) -> Result<()> {
    let root = Part::parse(body).map_err(Error::runtime)?;
    let s = root.structure();
    let Some(part) = (if html { s.html } else { s.text }) else { return Ok(()) };
    let Content::Text(mut text) = part.content() else { return Ok(()) };
    let end = html.then(|| text.rfind("</body>").or_else(|| text.rfind("</BODY>"))).flatten();
    text.insert_str(end.unwrap_or(text.len()), more);
    part.replace(Content::Text(text), None);
    m.set_body(root.write().into());
    Ok(())
}

pub(crate) fn methods<F: UserDataFields<Message>>(fields: &mut F) {
    body_method(fields, "parse_mime", |_, _, body, ()| parse(body));
    body_method(fields, "append_text_plain", |_, m, body, more: String| {
        append(m, body, false, &more)
    });
    body_method(fields, "append_text_html", |_, m, body, more: String| {
        append(m, body, true, &more)
    });
    body_method(fields, "parse_rfc3464", |lua, _, body, ()| {
        let root = Part::parse(body).map_err(Error::runtime)?;
        let report = mime::delivery_report(&root)
            .map_err(|e| Error::runtime(format!("parse_rfc3464: {e}")))?;
        report.map(|r| from_json(lua, &r)).transpose()
    });
    body_method(fields, "parse_rfc5965", |lua, _, body, ()| {
        let root = Part::parse(body).map_err(Error::runtime)?;
        let report = mime::feedback_report(&root)
            .map_err(|e| Error::runtime(format!("parse_rfc5965: {e}")))?;
        report.map(|r| from_json(lua, &r)).transpose()
    });
}

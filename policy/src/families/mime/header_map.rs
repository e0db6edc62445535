//! The header of a MIME part: typed and generic access to its fields.

use mlua::{
    Error, IntoLua, Lua, MetaMethod, MultiValue, Result, UserData, UserDataFields, UserDataMethods,
    Value,
};
use ringmta_mail::headers::{valid_name, write_field};
use ringmta_mail::mime::{
    addresses, format_addresses, message_ids, Address, Mailbox, Params, Part, RawField,
};
use ringmta_options::plain::Plain;

use crate::families::auth::results;
use crate::vm::lua_value::{from_plain, to_plain};

/// How a header value is read and written.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Text,
    Mailbox,
    MailboxList,
    AddressList,
    MessageId,
    MessageIds,
    Params,
    Results,
}

/// Method, header and shape of each typed field.
const TYPED: [(&str, &str, Shape); 20] = [
    ("from", "From", Shape::MailboxList),
    ("to", "To", Shape::AddressList),
    ("cc", "Cc", Shape::AddressList),
    ("bcc", "Bcc", Shape::AddressList),
    ("sender", "Sender", Shape::Mailbox),
    ("reply_to", "Reply-To", Shape::AddressList),
    ("resent_from", "Resent-From", Shape::MailboxList),
    ("resent_to", "Resent-To", Shape::AddressList),
    ("resent_cc", "Resent-Cc", Shape::AddressList),
    ("resent_bcc", "Resent-Bcc", Shape::AddressList),
    ("resent_sender", "Resent-Sender", Shape::Mailbox),
    ("subject", "Subject", Shape::Text),
    ("comments", "Comments", Shape::Text),
    ("references", "References", Shape::MessageIds),
    ("message_id", "Message-ID", Shape::MessageId),
    ("mime_version", "Mime-Version", Shape::Text),
    ("content_id", "Content-ID", Shape::MessageId),
    ("content_type", "Content-Type", Shape::Params),
    ("content_disposition", "Content-Disposition", Shape::Params),
    ("content_transfer_encoding", "Content-Transfer-Encoding", Shape::Params),
];

/// The Lua side of a header.
pub(super) struct HeaderMap(pub Part);

fn mailbox_plain(m: &Mailbox) -> Plain {
    let address =
        Plain::map([("local_part", Plain::str(&m.local_part)), ("domain", Plain::str(&m.domain))]);
    let mut items = vec![("address", address)];
    items.extend(m.name.as_ref().map(|n| ("name", Plain::str(n))));
    Plain::map(items)
}

fn address_plain(a: &Address) -> Plain {
    match a {
        Address::Mailbox(m) => mailbox_plain(m),
        Address::Group { name, entries } => Plain::map([
            ("name", Plain::str(name)),
            ("entries", Plain::list(entries.iter().map(mailbox_plain).collect())),
        ]),
    }
}

fn mailbox_of(p: &Plain) -> std::result::Result<Mailbox, String> {
    let address = p.get("address").ok_or("a mailbox needs `address`")?;
    let part =
        |key: &str| text_field(address, key).ok_or_else(|| format!("the address needs `{key}`"));
    Ok(Mailbox {
        name: text_field(p, "name"),
        local_part: part("local_part")?,
        domain: part("domain")?,
    })
}

fn address_of(p: &Plain) -> std::result::Result<Address, String> {
    match p.get("entries") {
        Some(Plain::List(entries)) => Ok(Address::Group {
            name: text_field(p, "name").ok_or("a group needs `name`")?,
            entries: entries.iter().map(mailbox_of).collect::<std::result::Result<_, _>>()?,
        }),
        _ => mailbox_of(p).map(Address::Mailbox),
    }
}

fn only_mailboxes(list: Vec<Address>) -> std::result::Result<Vec<Address>, String> {
    match list.iter().any(|a| matches!(a, Address::Group { .. })) {
        true => Err("a group is not allowed here".into()),
        false => Ok(list),
    }
}

fn addresses_of(shape: Shape, v: &Plain) -> std::result::Result<Vec<Address>, String> {
    let list = match v {
        Plain::Str(_) => addresses(v.as_str().ok_or("the value is not UTF-8")?)?,
        Plain::List(items) => {
            items.iter().map(address_of).collect::<std::result::Result<_, _>>()?
        }
        one => vec![address_of(one)?],
    };
    let list = if shape == Shape::AddressList { list } else { only_mailboxes(list)? };
    if shape == Shape::Mailbox && list.len() != 1 {
        return Err("exactly one mailbox is needed".into());
    }
    Ok(list)
}

/// A value in the shape a header is read in.
fn read(shape: Shape, field: &RawField) -> std::result::Result<Plain, String> {
    let text = field.text();
    Ok(match shape {
        Shape::Text => Plain::str(text),
        Shape::Mailbox | Shape::MailboxList | Shape::AddressList => {
            // Encoded words are decoded per name, behind the structure.
            let raw = String::from_utf8_lossy(field.raw_value()).into_owned();
            let list = addresses_of(shape, &Plain::str(raw.trim()))?;
            match (shape, &list[..]) {
                (Shape::Mailbox, [one]) => address_plain(one),
                _ => Plain::list(list.iter().map(address_plain).collect()),
            }
        }
        Shape::MessageId => {
            let id = message_ids(&text).into_iter().next().ok_or("there is no message id")?;
            Plain::str(id)
        }
        Shape::MessageIds => Plain::list(message_ids(&text).iter().map(Plain::str).collect()),
        Shape::Params => {
            let p = Params::parse(&text);
            let list = p.list.iter().map(|(k, v)| (k, Plain::str(v)));
            Plain::map([("value", Plain::str(&p.value)), ("parameters", Plain::map(list))])
        }
        Shape::Results => results::parse(&text)?,
    })
}

/// A message id (RFC 5322 section 3.6.4) without its brackets.
fn message_id(text: &str) -> std::result::Result<&str, String> {
    let id = text.trim();
    let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
    let parts = id.split_once('@');
    let is_text = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '@');
    match parts {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            let fits = left.chars().chain(right.chars()).all(is_text);
            fits.then_some(id).ok_or_else(|| format!("`{text}` is not a message id"))
        }
        _ => Err(format!("`{text}` is not a message id: it has the form <left@right>")),
    }
}

/// The field of a value in the shape a header is written in.
fn write(name: &str, shape: Shape, v: &Plain) -> std::result::Result<RawField, String> {
    let ready = |text: String| RawField { name: name.to_owned(), raw: write_field(name, &text) };
    let text =
        || v.as_str().ok_or_else(|| format!("invalid type: {}, expected a string", v.describe()));
    Ok(match shape {
        Shape::Text => RawField::new(name, text()?),
        Shape::Mailbox | Shape::MailboxList | Shape::AddressList => {
            ready(format_addresses(&addresses_of(shape, v)?))
        }
        Shape::MessageId => ready(format!("<{}>", message_id(text()?)?)),
        Shape::MessageIds => {
            let ids: Vec<String> = match v {
                Plain::List(items) => {
                    items.iter().filter_map(Plain::as_str).map(str::to_owned).collect()
                }
                _ => message_ids(text()?),
            };
            let ids = ids.iter().map(|id| Ok(format!("<{}>", message_id(id)?)));
            ready(ids.collect::<std::result::Result<Vec<_>, String>>()?.join(" "))
        }
        Shape::Params => match v {
            Plain::Map(_) => {
                let value = text_field(v, "value").ok_or("`value` is missing")?;
                let mut p = Params::new(&value);
                if let Some(Plain::Map(list)) = v.get("parameters") {
                    let mut list: Vec<_> = list.iter().collect();
                    list.sort_by_key(|(k, _)| k.key_text());
                    for (k, v) in list {
                        p.set(&k.key_text().to_ascii_lowercase(), v.as_str().unwrap_or(""));
                    }
                }
                ready(p.to_string())
            }
            _ => ready(Params::parse(text()?).to_string()),
        },
        Shape::Results => return Err("use msg:add_authentication_results".into()),
    })
}

fn shape_of(name: &str) -> Shape {
    if name.eq_ignore_ascii_case("Authentication-Results") {
        return Shape::Results;
    }
    let found = TYPED.iter().find(|(_, header, _)| header.eq_ignore_ascii_case(name));
    found.map_or(Shape::Text, |(_, _, shape)| *shape)
}

fn failed(what: &str) -> impl Fn(String) -> Error + '_ {
    move |e| Error::runtime(format!("{what}: {e}"))
}

impl UserData for HeaderMap {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        for (method, header, shape) in TYPED {
            methods.add_method(method, move |lua, h, ()| {
                let Some(field) = h.0.first(header) else { return Ok(Value::Nil) };
                from_plain(lua, &read(shape, &field).map_err(failed(header))?)
            });
            methods.add_method(format!("set_{method}"), move |_, h, v: Value| {
                h.0.set(write(header, shape, &to_plain(&v)?).map_err(failed(header))?);
                Ok(())
            });
        }
        for name in ["append", "prepend"] {
            methods.add_method(name, move |_, h, (field, v): (String, String)| {
                if !valid_name(&field) {
                    return Err(Error::runtime(format!("`{field}` is not a header name")));
                }
                let field = RawField::new(&field, &v);
                h.0.fields(|all| match name {
                    "append" => all.push(field),
                    _ => all.insert(0, field),
                });
                Ok(())
            });
        }
        methods.add_method("remove_all_named", |_, h, name: String| {
            h.0.fields(|all| all.retain(|f| !f.is(&name)));
            Ok(())
        });
        methods
            .add_method("get_first_named", |_, h, name: String| Ok(h.0.first(&name).map(Header)));
        methods.add_method("iter", |lua, h, name: Option<String>| {
            let wanted = |f: &&RawField| name.as_ref().is_none_or(|n| f.is(n));
            let fields: Vec<RawField> =
                h.0.fields(|all| all.iter().filter(wanted).cloned().collect());
            let fields = std::cell::RefCell::new(fields.into_iter());
            lua.create_function(move |_, _: MultiValue| Ok(fields.borrow_mut().next().map(Header)))
        });
        methods.add_meta_method(MetaMethod::ToString, |lua, h, ()| {
            let all: Vec<u8> = h.0.fields(|all| all.iter().flat_map(|f| f.raw.clone()).collect());
            lua.create_string(all)
        });
    }
}

/// A copy of one field.
struct Header(RawField);

impl UserData for Header {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("name", |_, h| Ok(h.0.name.clone()));
        fields.add_field_method_get("raw_value", |lua, h| {
            lua.create_string(h.0.raw_value().trim_ascii_start())
        });
        fields.add_field_method_get("value", |lua, h| value(lua, h, shape_of(&h.0.name)));
        for (name, shape) in [
            ("unstructured", Shape::Text),
            ("mailbox", Shape::Mailbox),
            ("mailbox_list", Shape::MailboxList),
            ("address_list", Shape::AddressList),
            ("message_id", Shape::MessageId),
            ("message_id_list", Shape::MessageIds),
            ("mime_params", Shape::Params),
            ("authentication_results", Shape::Results),
        ] {
            fields.add_field_method_get(name, move |lua, h| value(lua, h, shape));
        }
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |lua, h, ()| lua.create_string(&h.0.raw));
    }
}

fn value(lua: &Lua, h: &Header, shape: Shape) -> Result<Value> {
    from_plain(lua, &read(shape, &h.0).map_err(failed(&h.0.name))?)?.into_lua(lua)
}

/// A text field of a table, for header values.
fn text_field(p: &Plain, key: &str) -> Option<String> {
    p.get(key).and_then(Plain::as_str).map(str::to_owned)
}

//! Address headers (From, To, ...) as objects.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use mlua::{
    Error, IntoLua, Lua, MetaMethod, Result, UserData, UserDataFields, UserDataMethods, Value,
};
use ringmta_mail::headers::HeaderBlock;
use serde_json::Value as Json;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    name: Option<String>,
    email: String,
}

impl Entry {
    fn split(&self) -> (&str, &str) {
        self.email.rsplit_once('@').unwrap_or((&self.email, ""))
    }
}

/// One part of an address list (RFC 5322 section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Address(Entry),
    Group { name: String, entries: Vec<Entry> },
}

/// The addresses of one header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressHeader(Vec<Item>);

impl AddressHeader {
    /// The first field of that name; nil when it is absent or holds no address.
    pub fn find(message: &[u8], name: &str) -> Result<Option<AddressHeader>> {
        Ok(HeaderBlock::new(message).first(name).and_then(|f| AddressHeader::parse(f.value)))
    }

    /// Reads the value of an address field.
    pub fn parse(value: &[u8]) -> Option<AddressHeader> {
        let mut line = value.to_vec();
        line.extend_from_slice(b"\r\n");
        let HeaderValue::Address(found) = MessageStream::new(&line).parse_address() else {
            return None;
        };
        let entry = |a: &Addr| {
            Some(Entry {
                name: a.name.as_deref().map(str::to_owned),
                email: without_route(a.address.as_deref()?).to_owned(),
            })
        };
        let entries = |list: &[Addr]| list.iter().filter_map(entry).collect::<Vec<_>>();
        let items: Vec<Item> = match &found {
            Address::List(l) => entries(l).into_iter().map(Item::Address).collect(),
            Address::Group(groups) => groups
                .iter()
                .flat_map(|g| match g.name.as_deref() {
                    Some(name) => {
                        vec![Item::Group { name: name.to_owned(), entries: entries(&g.addresses) }]
                    }
                    // Addresses beside the groups.
                    None => entries(&g.addresses).into_iter().map(Item::Address).collect(),
                })
                .collect(),
        };
        let header = AddressHeader(items);
        let has_any = header.entries().next().is_some();
        has_any.then_some(header)
    }

    /// All addresses, those of groups as well.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(|item| match item {
            Item::Address(one) => std::slice::from_ref(one),
            Item::Group { entries, .. } => entries,
        })
    }

    /// The domain of the only address.
    pub fn only_domain(&self) -> Option<String> {
        self.only().ok().map(|one| one.split().1.to_owned())
    }

    fn only(&self) -> Result<&Entry> {
        match &self.0[..] {
            [Item::Address(one)] => Ok(one),
            _ => Err(Error::runtime(format!(
                "the header holds {} addresses and is not a simple single address; use its `list`",
                self.entries().count()
            ))),
        }
    }

    /// The header as JSON: a list of `{"Address":...}` and `{"Group":...}`.
    fn to_json(&self) -> String {
        let text = |text: &str| Json::from(text).to_string();
        let address = |e: &Entry| {
            let name = e.name.as_deref().map_or("null".to_owned(), text);
            format!("{{\"name\":{name},\"address\":{}}}", text(&e.email))
        };
        let item = |item: &Item| match item {
            Item::Address(one) => format!("{{\"Address\":{}}}", address(one)),
            Item::Group { name, entries } => {
                let list = entries.iter().map(address).collect::<Vec<_>>().join(",");
                format!("{{\"Group\":{{\"name\":{},\"addresses\":[{list}]}}}}", text(name))
            }
        };
        format!("[{}]", self.0.iter().map(item).collect::<Vec<_>>().join(","))
    }
}

/// An address without the source route in front of it (RFC 5322 section 4.4), which nobody goes by any more.
fn without_route(address: &str) -> &str {
    match address.strip_prefix('@').and_then(|rest| rest.split_once(':')) {
        Some((_, address)) => address,
        None => address,
    }
}

impl IntoLua for Entry {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        let t = lua.create_table()?;
        let (user, domain) = self.split();
        t.set("user", user)?;
        t.set("domain", domain)?;
        t.set("email", self.email.as_str())?;
        t.set("name", self.name.as_deref())?;
        Ok(Value::Table(t))
    }
}

impl UserData for AddressHeader {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("user", |lua, h| lua.create_string(h.only()?.split().0));
        fields.add_field_method_get("domain", |lua, h| lua.create_string(h.only()?.split().1));
        fields.add_field_method_get("email", |lua, h| lua.create_string(&h.only()?.email));
        fields.add_field_method_get("name", |_, h| Ok(h.only()?.name.clone()));
        fields.add_field_method_get("list", |_, h| Ok(h.entries().cloned().collect::<Vec<_>>()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, h, ()| Ok(h.to_json()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let h = AddressHeader::parse(b" \"Doe, Jo\" <jo@Example.com>").unwrap();
        let e = h.only().unwrap();
        assert_eq!((e.name.as_deref(), e.split()), (Some("Doe, Jo"), ("jo", "Example.com")));
        let two = AddressHeader::parse(b" a@b, c@d").unwrap();
        assert_eq!(
            two.only().unwrap_err().to_string(),
            "runtime error: the header holds 2 addresses and is not a simple single address; use its `list`"
        );
        assert_eq!(
            AddressHeader::parse(b" =?utf-8?q?J=C3=BCrgen?= <j@x>").unwrap().only().unwrap().name,
            Some("Jürgen".to_owned())
        );
        let routed = AddressHeader::parse(b" Me <@a.test,@b.test:me@src.test>").unwrap();
        assert_eq!(routed.to_json(), r#"[{"Address":{"name":"Me","address":"me@src.test"}}]"#);
        let group = AddressHeader::parse(b" Grp: a@b, \"X\" <c@d>;").unwrap();
        assert_eq!(
            group.to_json(),
            r#"[{"Group":{"name":"Grp","addresses":[{"name":null,"address":"a@b"},{"name":"X","address":"c@d"}]}}]"#
        );
        assert!(group.only().is_err());
        assert_eq!(AddressHeader::parse(b""), None);
        assert_eq!(AddressHeader::parse(b" \xff\xfe"), None);
    }
}

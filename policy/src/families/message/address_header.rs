//! Address headers (From, To, ...) as objects.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use mlua::{
    Error, IntoLua, Lua, MetaMethod, Result, UserData, UserDataFields, UserDataMethods, Value,
};
use ringmta_mail::headers::HeaderBlock;

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

/// The addresses of one header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressHeader(Vec<Entry>);

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
                email: a.address.as_deref()?.to_owned(),
            })
        };
        let list: Vec<Entry> = match &found {
            Address::List(l) => l.iter().filter_map(entry).collect(),
            Address::Group(g) => {
                g.iter().flat_map(|g| g.addresses.iter()).filter_map(entry).collect()
            }
        };
        (!list.is_empty()).then_some(AddressHeader(list))
    }

    /// The domain of the only address.
    pub fn only_domain(&self) -> Option<String> {
        match &self.0[..] {
            [one] => Some(one.split().1.to_owned()),
            _ => None,
        }
    }

    fn only(&self) -> Result<&Entry> {
        match &self.0[..] {
            [one] => Ok(one),
            many => Err(Error::runtime(format!(
                "the header holds {} addresses; use its `list`",
                many.len()
            ))),
        }
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
        fields.add_field_method_get("list", |_, h| Ok(h.0.clone()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, h, ()| {
            Ok(h.0.iter().map(|e| e.email.as_str()).collect::<Vec<_>>().join(", "))
        });
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
            "runtime error: the header holds 2 addresses; use its `list`"
        );
        assert_eq!(
            AddressHeader::parse(b" =?utf-8?q?J=C3=BCrgen?= <j@x>").unwrap().0[0].name.as_deref(),
            Some("Jürgen")
        );
        assert_eq!(AddressHeader::parse(b""), None);
        assert_eq!(AddressHeader::parse(b" \xff\xfe"), None);
    }
}

//! `kumo.uuid`.

use mlua::{Error, Lua, MetaMethod, Result, Table, UserData, UserDataFields, UserDataMethods};
use ring::rand::SecureRandom;
use ringmta_mail::id::MessageId;

use crate::vm;
use crate::vm::functions::def;

struct Uuid([u8; 16]);

impl Uuid {
    fn hyphenated(&self) -> String {
        let s = MessageId(self.0).to_string();
        format!("{}-{}-{}-{}-{}", &s[..8], &s[8..12], &s[12..16], &s[16..20], &s[20..])
    }

    fn with_version(mut b: [u8; 16], version: u8) -> Uuid {
        b[6] = (b[6] & 0x0f) | (version << 4);
        b[8] = (b[8] & 0x3f) | 0x80;
        Uuid(b)
    }
}

fn random() -> Result<[u8; 16]> {
    let mut b = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut b)
        .map_err(|_| Error::runtime("no randomness from the system"))?;
    Ok(b)
}

/// RFC 9562, section 5.7: 48 bits of Unix milliseconds, then randomness.
fn v7(now_nanos: u64) -> Result<Uuid> {
    let mut b = random()?;
    b[..6].copy_from_slice(&(now_nanos / 1_000_000).to_be_bytes()[2..]);
    Ok(Uuid::with_version(b, 7))
}

/// RFC 9562, section 5.6: the fields of version 1, the time with its high bits first.
fn v6(v1: [u8; 16]) -> Uuid {
    let high = u64::from(u16::from_be_bytes([v1[6], v1[7]]) & 0x0fff);
    let mid = u64::from(u16::from_be_bytes([v1[4], v1[5]]));
    let low = u64::from(u32::from_be_bytes([v1[0], v1[1], v1[2], v1[3]]));
    let time = (high << 48) | (mid << 32) | low;
    let mut b = v1;
    b[..6].copy_from_slice(&(time >> 12).to_be_bytes()[2..]);
    b[6..8].copy_from_slice(&((time & 0x0fff) as u16).to_be_bytes());
    Uuid::with_version(b, 6)
}

/// A random one, for names that must not meet again.
pub(super) fn text() -> Result<String> {
    Ok(MessageId(Uuid::with_version(random()?, 4).0).to_string())
}

impl UserData for Uuid {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("hyphenated", |_, u| Ok(u.hyphenated()));
        fields.add_field_method_get("simple", |_, u| Ok(MessageId(u.0).to_string()));
        fields.add_field_method_get("braced", |_, u| Ok(format!("{{{}}}", u.hyphenated())));
        fields.add_field_method_get("urn", |_, u| Ok(format!("urn:uuid:{}", u.hyphenated())));
        fields.add_field_method_get("bytes", |lua, u| lua.create_string(u.0));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, u, ()| Ok(u.hyphenated()));
    }
}

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "parse", |_, s: String| {
        let bare = s.trim_start_matches("urn:uuid:").trim_matches(|c| c == '{' || c == '}');
        bare.parse::<MessageId>()
            .map(|id| Uuid(id.0))
            .map_err(|_| Error::runtime(format!("`{s}` is not a UUID")))
    })?;
    def(lua, &t, "new_v1", |lua, ()| Ok(Uuid(vm::ctx(lua)?.host.new_message_id().0)))?;
    def(lua, &t, "new_v6", |lua, ()| Ok(v6(vm::ctx(lua)?.host.new_message_id().0)))?;
    def(lua, &t, "new_v4", |_, ()| Ok(Uuid::with_version(random()?, 4)))?;
    def(lua, &t, "new_v7", |lua, ()| v7(vm::ctx(lua)?.host.now_unix_nanos()))?;
    kumo.set("uuid", t)
}

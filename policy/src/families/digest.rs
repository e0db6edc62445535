//! `kumo.digest`: hashes and keyed hashes.

use aws_lc_rs::{digest, hmac};
use mlua::{
    Lua, MetaMethod, Result, Table, UserData, UserDataFields, UserDataMethods, Value, Variadic,
};
use ringmta_options::{KeySource, Notes, OptionValue};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::to_plain;

/// Bytes of a result, shown in whatever encoding is asked for.
pub(super) struct Digest(pub Vec<u8>);

impl UserData for Digest {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("bytes", |lua, d| lua.create_string(&d.0));
        for (name, encoding) in crate::families::encode::families() {
            fields.add_field_method_get(name, move |_, d| Ok(encoding.encode(&d.0)));
        }
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, d, ()| {
            Ok(data_encoding::HEXLOWER.encode(&d.0))
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.digest.{sha1,sha224,sha256,sha384,sha512,sha512_256,sha3_256,sha3_384,sha3_512,crc32}", "...: string", "any", "The hash of all parts."),
    FnDef::new("kumo.digest.{hmac_sha1,hmac_sha224,hmac_sha256,hmac_sha384,hmac_sha512}", "key: any, text: string", "any", "The keyed hash (RFC 2104) of a text; the key may be a key source."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    let hashes: [(&str, &'static digest::Algorithm); 9] = [
        ("sha1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        ("sha224", &digest::SHA224),
        ("sha256", &digest::SHA256),
        ("sha384", &digest::SHA384),
        ("sha512", &digest::SHA512),
        ("sha512_256", &digest::SHA512_256),
        ("sha3_256", &digest::SHA3_256),
        ("sha3_384", &digest::SHA3_384),
        ("sha3_512", &digest::SHA3_512),
    ];
    for (name, algorithm) in hashes {
        def(lua, &t, name, move |_, parts: Variadic<mlua::String>| {
            let mut ctx = digest::Context::new(algorithm);
            parts.iter().for_each(|p| ctx.update(&p.as_bytes()));
            Ok(Digest(ctx.finish().as_ref().to_vec()))
        })?;
    }
    def(lua, &t, "crc32", |_, parts: Variadic<mlua::String>| {
        let crc = parts.iter().fold(!0u32, |crc, p| crc32(crc, &p.as_bytes()));
        Ok(Digest((!crc).to_be_bytes().to_vec()))
    })?;
    let macs = [
        ("hmac_sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        ("hmac_sha224", hmac::HMAC_SHA224),
        ("hmac_sha256", hmac::HMAC_SHA256),
        ("hmac_sha384", hmac::HMAC_SHA384),
        ("hmac_sha512", hmac::HMAC_SHA512),
    ];
    for (name, mac) in macs {
        let f =
            lua.create_async_function(move |lua, (key, msg): (Value, mlua::String)| async move {
                let source = KeySource::parse(&to_plain(&key)?, &mut Notes::default())
                    .map_err(|e| mlua::Error::runtime(format!("kumo.digest.{name}: {e}")))?;
                let key = crate::families::keys::load(&lua, &source).await?;
                let tag = hmac::sign(&hmac::Key::new(mac, &key), &msg.as_bytes());
                Ok(Digest(tag.as_ref().to_vec()))
            })?;
        t.set(name, f)?;
    }
    kumo.set("digest", t)
}

/// CRC-32 (IEEE 802.3), one step of the running value.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, b| {
        (0..8)
            .fold(crc ^ *b as u32, |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

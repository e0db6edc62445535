//! `kumo.digest`: hashes and keyed hashes.

use mlua::{
    Lua, MetaMethod, Result, Table, UserData, UserDataFields, UserDataMethods, Value, Variadic,
};
use ring::{digest, hmac};
use ringmta_options::{KeySource, Notes, OptionValue};

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

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    let hashes: [(&str, &'static digest::Algorithm); 5] = [
        ("sha1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        ("sha256", &digest::SHA256),
        ("sha384", &digest::SHA384),
        ("sha512", &digest::SHA512),
        ("sha512_256", &digest::SHA512_256),
    ];
    for (name, algorithm) in hashes {
        def(lua, &t, name, move |_, parts: Variadic<mlua::String>| {
            let mut ctx = digest::Context::new(algorithm);
            parts.iter().for_each(|p| ctx.update(&p.as_bytes()));
            Ok(Digest(ctx.finish().as_ref().to_vec()))
        })?;
    }
    wider::<sha2::Sha224>(lua, &t, "sha224")?;
    wider::<sha3::Sha3_256>(lua, &t, "sha3_256")?;
    wider::<sha3::Sha3_384>(lua, &t, "sha3_384")?;
    wider::<sha3::Sha3_512>(lua, &t, "sha3_512")?;
    def(lua, &t, "crc32", |_, parts: Variadic<mlua::String>| {
        let crc = parts.iter().fold(!0u32, |crc, p| crc32(crc, &p.as_bytes()));
        Ok(Digest((!crc).to_be_bytes().to_vec()))
    })?;
    let macs: [(&str, Mac); 5] = [
        ("hmac_sha1", |k, m| by_ring(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, k, m)),
        ("hmac_sha224", hmac_sha224),
        ("hmac_sha256", |k, m| by_ring(hmac::HMAC_SHA256, k, m)),
        ("hmac_sha384", |k, m| by_ring(hmac::HMAC_SHA384, k, m)),
        ("hmac_sha512", |k, m| by_ring(hmac::HMAC_SHA512, k, m)),
    ];
    for (name, mac) in macs {
        let f =
            lua.create_async_function(move |lua, (key, msg): (Value, mlua::String)| async move {
                let source = KeySource::parse(&to_plain(&key)?, &mut Notes::default())
                    .map_err(|e| mlua::Error::runtime(format!("kumo.digest.{name}: {e}")))?;
                let key = crate::families::keys::load(&lua, &source).await?;
                Ok(Digest(mac(&key, &msg.as_bytes())))
            })?;
        t.set(name, f)?;
    }
    kumo.set("digest", t)
}

type Mac = fn(&[u8], &[u8]) -> Vec<u8>;

fn by_ring(algorithm: hmac::Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
}

/// RFC 2104 with SHA-224, which ring lacks.
fn hmac_sha224(key: &[u8], text: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha224};
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    match key.len() > BLOCK {
        true => {
            let short = Sha224::digest(key);
            block[..short.len()].copy_from_slice(&short);
        }
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = Sha224::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha224::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// A hash ring does not have.
fn wider<H: sha2::Digest>(lua: &Lua, t: &Table, name: &str) -> Result<()> {
    def(lua, t, name, |_, parts: Variadic<mlua::String>| {
        let mut hash = H::new();
        parts.iter().for_each(|p| hash.update(&*p.as_bytes()));
        Ok(Digest(hash.finalize().to_vec()))
    })
}

/// CRC-32 (IEEE 802.3), one step of the running value.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, b| {
        (0..8)
            .fold(crc ^ *b as u32, |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

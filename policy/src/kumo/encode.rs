//! `kumo.encode`.

use data_encoding as de;
use data_encoding::Encoding;
use mlua::{Error, Lua, Result, Table};

use super::shim::def;

/// Name and encoding of each family.
pub(super) fn families() -> [(&'static str, Encoding); 9] {
    [
        ("base64", de::BASE64),
        ("base64_nopad", de::BASE64_NOPAD),
        ("base64url", de::BASE64URL),
        ("base64url_nopad", de::BASE64URL_NOPAD),
        ("base32", de::BASE32),
        ("base32_nopad", de::BASE32_NOPAD),
        ("base32hex", de::BASE32HEX),
        ("base32hex_nopad", de::BASE32HEX_NOPAD),
        ("hex", de::HEXLOWER),
    ]
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let encode = lua.create_table()?;
    for (name, encoding) in families() {
        // Digits of hex are read in both cases.
        let decoder = if name == "hex" { de::HEXLOWER_PERMISSIVE } else { encoding.clone() };
        def(lua, &encode, &format!("{name}_encode"), move |_, s: mlua::String| {
            Ok(encoding.encode(&s.as_bytes()))
        })?;
        def(lua, &encode, &format!("{name}_decode"), move |lua, s: mlua::String| {
            let bytes = decoder
                .decode(&s.as_bytes())
                .map_err(|e| Error::runtime(format!("kumo.encode.{name}_decode: {e}")))?;
            lua.create_string(bytes)
        })?;
    }
    kumo.set("encode", encode)
}

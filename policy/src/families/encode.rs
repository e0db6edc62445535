//! `kumo.encode`.

use data_encoding as de;
use data_encoding::Encoding;
use mlua::{Error, Lua, Result, Table};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;

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

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.encode.{base32,base32hex,base32hex_nopad,base32_nopad,base64,base64url,base64url_nopad,base64_nopad,hex}_encode", "bytes: string", "string", "Encodes bytes."),
    FnDef::new("kumo.encode.{base32,base32hex,base32hex_nopad,base32_nopad,base64,base64url,base64url_nopad,base64_nopad,hex}_decode", "text: string", "string", "Decodes a text."),
    FnDef::new("kumo.encode.charset_encode", "charset: string, text: string, ignore_errors?: boolean", "string", "A text in another charset."),
    FnDef::new("kumo.encode.charset_decode", "charset: string, bytes: string", "string", "Bytes of another charset as UTF-8."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
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
    charsets(lua, &encode)?;
    kumo.set("encode", encode)
}

/// A charset by any of its WHATWG labels.
pub(super) fn charset(label: &str) -> Result<&'static encoding_rs::Encoding> {
    encoding_rs::Encoding::for_label(label.as_bytes())
        .ok_or_else(|| Error::runtime(format!("`{label}` is not a known charset")))
}

fn charsets(lua: &Lua, encode: &Table) -> Result<()> {
    def(lua, encode, "charset_encode", |lua, a: (String, String, Option<bool>)| {
        let (label, text, ignore_errors) = a;
        let (bytes, _, lost) = charset(&label)?.encode(&text);
        if lost && ignore_errors != Some(true) {
            return Err(Error::runtime(format!(
                "kumo.encode.charset_encode: the text has characters that {label} lacks"
            )));
        }
        lua.create_string(&bytes)
    })?;
    def(lua, encode, "charset_decode", |_, (label, bytes): (String, mlua::String)| {
        let bytes = bytes.as_bytes();
        let (text, lost) = charset(&label)?.decode_without_bom_handling(&bytes);
        if lost {
            return Err(Error::runtime(format!(
                "kumo.encode.charset_decode: the bytes are not valid {label}"
            )));
        }
        Ok(text.into_owned())
    })
}

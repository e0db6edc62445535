//! `kumo.crypto`: AES and the signatures of AWS requests.

use std::collections::BTreeMap;

use aws_lc_rs::cipher::{
    DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
    AES_128, AES_256,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use mlua::{Error, Lua, Result, Table, Value};
use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::families::digest::Digest;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_plain, to_plain};
use crate::vm::read_options::options;

/// How blocks follow one another.
#[derive(Clone, Copy, PartialEq)]
enum Chaining {
    Cbc,
    Ecb,
}

type Outcome<T> = std::result::Result<T, String>;

fn chaining(algorithm: &str) -> Outcome<Chaining> {
    match algorithm {
        "Cbc" => Ok(Chaining::Cbc),
        "Ecb" => Ok(Chaining::Ecb),
        other => Err(format!("unknown variant `{other}`, expected one of `Cbc`, `Ecb`")),
    }
}

fn aes(key: &[u8]) -> Outcome<UnboundCipherKey> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        n => return Err(format!("the key has {n} bytes; 16 or 32 are needed")),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| "the key is not usable".to_owned())
}

/// PKCS #7 padding; with CBC a random first vector goes in front of the result.
fn encrypt(algorithm: &str, text: &[u8], key: &[u8]) -> Outcome<Vec<u8>> {
    let failed = |_| "this cannot be encrypted".to_owned();
    let mut out = text.to_vec();
    match (chaining(algorithm)?, aes(key)?) {
        (Chaining::Cbc, key) => {
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(failed)?;
            let context = key.encrypt(&mut out).map_err(failed)?;
            let vector: &[u8] = (&context).try_into().map_err(failed)?;
            out.splice(0..0, vector.iter().copied());
        }
        (Chaining::Ecb, key) => {
            let key = PaddedBlockEncryptingKey::ecb_pkcs7(key).map_err(failed)?;
            key.encrypt(&mut out).map_err(failed)?;
        }
    }
    Ok(out)
}

fn decrypt(algorithm: &str, data: &[u8], key: &[u8]) -> Outcome<Vec<u8>> {
    let wrong = |_| "this cannot be decrypted: damaged, or another key".to_owned();
    let (chaining, key) = (chaining(algorithm)?, aes(key)?);
    let (key, context, cipher) = match chaining {
        Chaining::Cbc => {
            let (vector, rest) = data.split_first_chunk().ok_or(Unspecified).map_err(wrong)?;
            let context = DecryptionContext::Iv128(FixedLength::from(vector));
            (PaddedBlockDecryptingKey::cbc_pkcs7(key), context, rest)
        }
        Chaining::Ecb => (PaddedBlockDecryptingKey::ecb_pkcs7(key), DecryptionContext::None, data),
    };
    let mut text = cipher.to_vec();
    let length = key.and_then(|key| Ok(key.decrypt(&mut text, context)?.len())).map_err(wrong)?;
    text.truncate(length);
    Ok(text)
}

/// The key itself, or inside `{ key = ... }`.
async fn key(lua: &Lua, call: &str, v: &Value) -> Result<Vec<u8>> {
    let plain = to_plain(v)?;
    let source = plain.get("key").unwrap_or(&plain);
    let source = KeySource::parse(source, &mut Notes::default())
        .map_err(|e| Error::runtime(format!("kumo.crypto.{call}: {e}")))?;
    crate::families::keys::load(lua, &source).await
}

option_table! {
    /// A request to sign (AWS Signature Version 4).
    pub struct AwsParams for "kumo.crypto.aws_sign_v4" {
        /// Access key id.
        access_key: Option<KeySource> = None; Support::Required,
        /// Secret access key.
        secret_key: Option<KeySource> = None; Support::Required,
        /// Region, such as `us-east-1`.
        region: String = String::new(); Support::Required,
        /// Service, such as `sns`.
        service: String = String::new(); Support::Required,
        /// HTTP method.
        method: String = String::new(); Support::Required,
        /// Path of the request.
        uri: String = String::new(); Support::Required,
        /// Query of the request.
        query_params: BTreeMap<String, String> = BTreeMap::new(),
        /// Headers to sign.
        headers: BTreeMap<String, String> = BTreeMap::new(),
        /// Body of the request.
        payload: Plain = Plain::Nil,
        /// Time of the signature (RFC 3339 text or Unix seconds); now by default.
        timestamp: Plain = Plain::Nil,
        /// Token of temporary credentials.
        session_token: Option<SecretText> = None,
    }
}

/// What a signature consists of.
pub(super) struct AwsSignature {
    pub authorization: String,
    pub timestamp: String,
    /// Hash of the body, where the service wants it as a header.
    pub content_sha256: Option<String>,
    signature: String,
    canonical_request: String,
    string_to_sign: String,
}

/// Percent-encoding of RFC 3986 section 2.1, as the signature wants it.
fn percent(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        let plain = b.is_ascii_alphanumeric() || b"-._~".contains(&b) || (keep_slash && b == b'/');
        match plain {
            true => out.push(b as char),
            false => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}

pub(super) fn sign(
    p: &AwsParams,
    access: &str,
    secret: &[u8],
    unix_nanos: i128,
) -> std::result::Result<AwsSignature, String> {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let sha = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    let timestamp = ringmta_mail::strftime::format("%Y%m%dT%H%M%SZ", unix_nanos);
    let day = &timestamp[..8];
    let mut headers: BTreeMap<String, String> = p
        .headers
        .iter()
        .map(|(k, v)| {
            (k.to_ascii_lowercase(), v.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    headers.entry("x-amz-date".into()).or_insert_with(|| timestamp.clone());
    let payload: &[u8] = match &p.payload {
        Plain::Str(s) => s,
        Plain::Nil => b"",
        other => {
            return Err(format!("`payload`: invalid type: {}, expected a string", other.describe()))
        }
    };
    let payload_hash = sha(payload);
    // S3 refuses requests that do not sign this header; other services do not ask for it.
    if p.service == "s3" {
        headers.entry("x-amz-content-sha256".into()).or_insert_with(|| payload_hash.clone());
    }
    if let Some(token) = &p.session_token {
        headers.entry("x-amz-security-token".into()).or_insert_with(|| token.0.clone());
    }
    let mut query: Vec<String> = p
        .query_params
        .iter()
        .map(|(k, v)| format!("{}={}", percent(k, false), percent(v, false)))
        .collect();
    query.sort();
    let signed = headers.keys().map(String::as_str).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(k, v)| format!("{k}:{v}\n")).collect();
    let path = if p.uri.is_empty() { "/".to_owned() } else { percent(&p.uri, true) };
    let canonical_request = format!(
        "{}\n{path}\n{}\n{lines}\n{signed}\n{}",
        p.method.to_ascii_uppercase(),
        query.join("&"),
        payload_hash
    );
    let scope = format!("{day}/{}/{}/aws4_request", p.region, p.service);
    let string_to_sign =
        format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{}", sha(canonical_request.as_bytes()));
    let first = [b"AWS4", secret].concat();
    let key = [day, &p.region, &p.service, "aws4_request"].iter().fold(first, |key, part| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec()
    });
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), string_to_sign.as_bytes());
    let signature = hex(tag.as_ref());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={signed}, Signature={signature}"
    );
    let content_sha256 = headers.get("x-amz-content-sha256").cloned();
    Ok(AwsSignature {
        authorization,
        timestamp,
        content_sha256,
        signature,
        canonical_request,
        string_to_sign,
    })
}

/// Signs with the keys and the time the parameters name.
pub(super) async fn sign_with(lua: &Lua, p: &AwsParams) -> Result<AwsSignature> {
    let failed = |e: String| Error::runtime(format!("kumo.crypto.aws_sign_v4: {e}"));
    let (Some(access), Some(secret)) = (&p.access_key, &p.secret_key) else {
        return Err(failed("both keys are needed".into()));
    };
    let access = crate::families::keys::load(lua, access).await?;
    let secret = crate::families::keys::load(lua, secret).await?;
    let access =
        String::from_utf8(access).map_err(|_| failed("the access key is not text".into()))?;
    let now = match &p.timestamp {
        Plain::Nil => i128::from(vm::ctx(lua)?.host.now_unix_nanos()),
        Plain::Int(n) => i128::from(*n) * 1_000_000_000,
        Plain::Num(n) => (*n * 1e9) as i128,
        other => {
            let parsed = other.as_str().and_then(ringmta_mail::time::parse_rfc3339);
            i128::from(parsed.ok_or_else(|| failed("`timestamp` is not an RFC 3339 time".into()))?)
        }
    };
    sign(p, access.trim(), &secret, now).map_err(failed)
}

/// The bytes of a text, or of what `aes_encrypt_block` and the digests give.
fn bytes_of(v: &Value) -> Result<Vec<u8>> {
    if let Some(result) = v.as_userdata().and_then(|u| u.borrow::<Digest>().ok()) {
        return Ok(result.0.clone());
    }
    match v {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        other => Err(Error::runtime(format!(
            "kumo.crypto.aes_decrypt_block: expected a string, got a {}",
            other.type_name()
        ))),
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.crypto.aes_encrypt_block",
        "algorithm: 'Cbc'|'Ecb', text: string, key: any",
        "any",
        "Encrypts with AES; with Cbc a random first vector goes in front.",
    ),
    FnDef::new(
        "kumo.crypto.aes_decrypt_block",
        "algorithm: 'Cbc'|'Ecb', data: any, key: any",
        "string",
        "Undoes `aes_encrypt_block`.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    type Cipher = (String, mlua::String, Value);
    let f = lua.create_async_function(|lua, (how, text, k): Cipher| async move {
        let k = key(&lua, "aes_encrypt_block", &k).await?;
        let out = encrypt(&how, &text.as_bytes(), &k);
        let out = out.map_err(|e| Error::runtime(format!("kumo.crypto.aes_encrypt_block: {e}")))?;
        Ok(Digest(out))
    })?;
    t.set("aes_encrypt_block", f)?;
    let f =
        lua.create_async_function(|lua, (how, data, k): (String, Value, Value)| async move {
            let k = key(&lua, "aes_decrypt_block", &k).await?;
            let out = decrypt(&how, &bytes_of(&data)?, &k);
            let out =
                out.map_err(|e| Error::runtime(format!("kumo.crypto.aes_decrypt_block: {e}")))?;
            lua.create_string(out)
        })?;
    t.set("aes_decrypt_block", f)?;
    let f = lua.create_async_function(|lua, v: Value| async move {
        let ctx = vm::ctx(&lua)?;
        let p: AwsParams = options(&ctx, &to_plain(&v)?)?;
        let s = sign_with(&lua, &p).await?;
        let fields = [
            ("authorization", s.authorization),
            ("timestamp", s.timestamp),
            ("signature", s.signature),
            ("canonical_request", s.canonical_request),
            ("string_to_sign", s.string_to_sign),
        ];
        from_plain(&lua, &Plain::map(fields.map(|(k, v)| (k, Plain::str(v)))))
    })?;
    t.set("aws_sign_v4", f)?;
    kumo.set("crypto", t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        // FIPS 197, appendix C.3: the first block, without its padding.
        let key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let block: [u8; 16] = std::array::from_fn(|i| (i * 17) as u8);
        let cipher = encrypt("Ecb", &block, &key).unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&cipher[..16]),
            "8ea2b7ca516745bfeafc49904b496089"
        );
        // NIST SP 800-38A, section F.2.1: the vector goes in front.
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
        let mut cipher = hex("000102030405060708090a0b0c0d0e0f");
        cipher.extend(hex("7649abac8119b246cee98e9b12e9197d"));
        let last = hex("8964e0b149c10b7b682e6e39aaeb731c");
        cipher.extend(&last);
        assert_eq!(decrypt("Cbc", &cipher, &key).unwrap(), hex("6bc1bee22e409f96e93d7e117393172a"));
        for how in ["Cbc", "Ecb"] {
            for len in [0, 1, 15, 16, 17, 100] {
                let text = vec![7u8; len];
                let key = [3u8; 16];
                let cipher = encrypt(how, &text, &key).unwrap();
                assert_eq!(decrypt(how, &cipher, &key).unwrap(), text);
                assert!(decrypt(how, &cipher[1..], &key).is_err());
            }
        }
        assert!(encrypt("Ecb", b"x", b"short").unwrap_err().contains("16 or 32"));
    }

    #[test]
    fn the_example_of_the_aws_test_suite() {
        // "get-vanilla" of the published test suite of Signature Version 4.
        let p = AwsParams {
            region: "us-east-1".into(),
            service: "service".into(),
            method: "GET".into(),
            uri: "/".into(),
            headers: [("Host".to_owned(), "example.amazonaws.com".to_owned())].into(),
            ..AwsParams::default()
        };
        let secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let s = sign(&p, "AKIDEXAMPLE", secret, 1_440_938_160_000_000_000).unwrap();
        assert_eq!(s.timestamp, "20150830T123600Z");
        assert_eq!(s.signature, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    }
}

//! Signatures of posts in the form of Standard Webhooks: `v1,` and the base64 of the HMAC-SHA256 of
//! `id.timestamp.content`. What is signed is the JSON, whether or not it is compressed on its way.

use aws_lc_rs::hmac::{Context, Key, HMAC_SHA256};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;

/// A key for signatures.
pub struct Signer(Key);

impl Signer {
    /// Of a secret: `whsec_` and base64, or any other text as it is.
    pub fn new(secret: &str) -> Signer {
        let decoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let bytes = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
        Signer(Key::new(HMAC_SHA256, &bytes))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: u64, content: &[u8]) -> String {
        let mut context = Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(content);
        format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_published_example() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let content = br#"{"test": 2432232314}"#;
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, content);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_in_plain_text_is_a_key_as_well() {
        let plain = Signer::new("a secret");
        let encoded = Signer::new("whsec_YSBzZWNyZXQ=");
        assert_eq!(plain.sign("i", 1, b"x"), encoded.sign("i", 1, b"x"));
        assert_ne!(plain.sign("i", 1, b"x"), plain.sign("i", 2, b"x"));
    }
}

//! How a POST of event records came: its id, its time, and whether its signature (Standard Webhooks) is of the secret.

use aws_lc_rs::hmac::{self, Context, Key, HMAC_SHA256};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use ringmta_http::Request;
use ringmta_io::unix_nanos;
use serde_json::{json, Value};

/// Seconds that the time of a signed POST may be off, as Standard Webhooks has it.
const OFF_SECS: u64 = 300;

/// The secret of signatures.
pub struct Secret(Key);

impl Secret {
    /// `whsec_` and base64, or any other text as it is.
    pub fn new(secret: &str) -> Secret {
        let decoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        let bytes = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
        Secret(Key::new(HMAC_SHA256, &bytes))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let mut context = Context::with_key(&self.0);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
    }

    fn verifies(&self, id: &str, timestamp: &str, body: &[u8], signatures: &str) -> bool {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        signatures
            .split_whitespace()
            .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
            .any(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
    }
}

/// What is known of the POST that an event came in.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// The header `webhook-id`; empty without one.
    pub id: String,
    timestamp: String,
    signature: &'static str,
    received_ms: u64,
    /// The records came as an array.
    pub in_array: bool,
}

impl Delivery {
    /// Of a request whose body is as it was signed.
    pub fn of(request: &Request, secret: Option<&Secret>, in_array: bool) -> Delivery {
        let header = |name: &str| {
            let value = request.header(name).unwrap_or_default();
            value.chars().take(256).collect::<String>()
        };
        let now_ms = unix_nanos() / 1_000_000;
        let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signatures = header("webhook-signature");
        let signature = match (signatures.is_empty(), secret) {
            (true, _) => "none",
            (false, None) => "unchecked",
            (false, Some(s)) if !s.verifies(&id, &timestamp, &request.body, &signatures) => "wrong",
            (false, Some(_)) => {
                let off = timestamp.parse().map_or(u64::MAX, |at| (now_ms / 1000).abs_diff(at));
                if off > OFF_SECS {
                    "stale"
                } else {
                    "valid"
                }
            }
        };
        Delivery { id, timestamp, signature, received_ms: now_ms, in_array }
    }

    /// As the page reads it.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "timestamp": self.timestamp,
            "signature": self.signature,
            "received": self.received_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, time, body) =
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(secret.sign(id, time, body), signature);
        assert!(secret.verifies(id, time, body, &format!("v1,AAAA v2,x {signature}")));
        assert!(!secret.verifies(id, time, b"{}", signature));
        assert!(!secret.verifies(id, "1614265331", body, signature));
        assert!(!secret.verifies(id, time, body, ""));
    }
}

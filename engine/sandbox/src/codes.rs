//! Codes of the links that the inbox makes itself, by which it knows them again.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use std::sync::Arc;

/// Writes and knows the codes of links of our own making. Cheap to copy.
#[derive(Clone)]
pub struct Codes(Arc<hmac::Key>);

impl Codes {
    /// Codes that no other process writes.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn new() -> Result<Codes, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| "no key for the inbox's proxy".to_string())?;
        Ok(Codes(Arc::new(key)))
    }

    /// The code of this.
    pub fn of(&self, data: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, data.as_bytes()))
    }

    /// Whether this code is of that.
    pub fn are_of(&self, data: &str, code: &str) -> bool {
        let code = URL_SAFE_NO_PAD.decode(code).unwrap_or_default();
        hmac::verify(&self.0, data.as_bytes(), &code).is_ok()
    }
}

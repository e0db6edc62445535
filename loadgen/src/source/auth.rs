//! Login data and how AUTH writes it.

use anyhow::{Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use std::fmt;

/// A user name and a password.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    pass: String,
}

impl Credentials {
    /// Reads `user:pass`; the password may hold colons.
    ///
    /// # Errors
    /// When there is no colon.
    pub fn parse(text: &str) -> Result<Self> {
        let (user, pass) = text.split_once(':').context("login data must be USER:PASS")?;
        Ok(Self { user: user.to_owned(), pass: pass.to_owned() })
    }

    /// The whole AUTH PLAIN command.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("AUTH PLAIN {}\r\n", self.plain_token())
    }

    /// What AUTH PLAIN sends: nothing, user, password, set apart by NUL.
    #[must_use]
    pub fn plain_token(&self) -> String {
        BASE64_STANDARD.encode(format!("\0{}\0{}", self.user, self.pass))
    }

    /// The first line AUTH LOGIN asks for.
    #[must_use]
    pub fn user_line(&self) -> String {
        format!("{}\r\n", BASE64_STANDARD.encode(&self.user))
    }

    /// The second line AUTH LOGIN asks for.
    #[must_use]
    pub fn pass_line(&self) -> String {
        format!("{}\r\n", BASE64_STANDARD.encode(&self.pass))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Passwords stay out of messages.
        write!(f, "Credentials({})", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_login() {
        let credentials = Credentials::parse("tim:tan:sta").unwrap();
        assert_eq!(credentials.plain(), "AUTH PLAIN AHRpbQB0YW46c3Rh\r\n");
        assert_eq!(credentials.user_line(), "dGlt\r\n");
        assert_eq!(credentials.pass_line(), "dGFuOnN0YQ==\r\n");
        assert!(!format!("{credentials:?}").contains("tan"));
        assert!(Credentials::parse("tim").is_err());
    }
}

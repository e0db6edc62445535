//! What a server offers in its reply to EHLO.

use super::reply::Reply;

/// What matters here of a server's offer.
#[derive(Debug, Default)]
pub struct Capabilities {
    /// Commands may be sent without waiting (PIPELINING).
    pub pipelining: bool,
    /// Bodies may hold bytes above 127 (8BITMIME).
    pub eight_bit: bool,
    /// STARTTLS.
    pub starttls: bool,
    /// AUTH PLAIN.
    pub auth_plain: bool,
    /// AUTH LOGIN.
    pub auth_login: bool,
}

impl Capabilities {
    /// Reads a reply to EHLO.
    #[must_use]
    pub fn read(reply: &Reply<'_>) -> Self {
        let mut caps = Self::default();
        // The first line is the server's name.
        for line in reply.lines().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split(|byte| b" =".contains(byte));
            match words.next().unwrap_or_default() {
                b"PIPELINING" => caps.pipelining = true,
                b"8BITMIME" => caps.eight_bit = true,
                b"STARTTLS" => caps.starttls = true,
                b"AUTH" => {
                    for mechanism in words {
                        caps.auth_plain |= mechanism == b"PLAIN";
                        caps.auth_login |= mechanism == b"LOGIN";
                    }
                }
                _ => {}
            }
        }
        caps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::reply;

    #[test]
    fn offers_are_read_in_any_case_and_both_forms_of_auth() {
        let read =
            |text: &str| Capabilities::read(&reply::parse(text.as_bytes()).unwrap().unwrap());
        let caps =
            read("250-mx PIPELINING\r\n250-8bitmime\r\n250-StartTLS\r\n250 AUTH=LOGIN PLAIN\r\n");
        assert!(caps.eight_bit && caps.starttls && caps.auth_plain && caps.auth_login);
        assert!(!caps.pipelining, "the first line is a name");
        assert!(read("250-mx\r\n250 PIPELINING\r\n").pipelining);
    }
}

//! A login by CRAM-MD5 (RFC 2195), for mail servers that offer nothing better: the secret itself does not go over the line. The
//! library of the SMTP client has no such mechanism, so its connection is led through it here.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::Error;

/// Bytes that MD5 works on at a time, which is what HMAC fills a key up to.
const BLOCK: usize = 64;

/// HMAC-MD5 (RFC 2104).
fn hmac_md5(key: &[u8], text: &[u8]) -> [u8; 16] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..16].copy_from_slice(&md5::compute(key).0);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8, text: &[u8]| {
        let mut all = block.map(|byte| byte ^ pad).to_vec();
        all.extend_from_slice(text);
        md5::compute(all).0
    };
    padded(0x5c, &padded(0x36, text))
}

/// The answer to a challenge, both as they go over the line.
fn answer(user: &str, secret: &str, challenge: &str) -> Result<String, String> {
    let challenge = STANDARD
        .decode(challenge.trim())
        .map_err(|_| "the server's challenge for CRAM-MD5 is not base64".to_string())?;
    let digest = hmac_md5(secret.as_bytes(), &challenge);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(STANDARD.encode(format!("{user} {digest}")))
}

/// Logs in; blocks.
///
/// # Errors
/// What the server said, worded by `said`.
pub fn log_in(
    connection: &mut SmtpConnection,
    user: &str,
    secret: &str,
    said: impl Fn(&Error) -> String,
) -> Result<(), String> {
    let challenge = connection.command("AUTH CRAM-MD5\r\n").map_err(|error| said(&error))?;
    if !challenge.has_code(334) {
        return Err("the server gave no challenge for CRAM-MD5".into());
    }
    let answer = answer(user, secret, challenge.message().next().unwrap_or_default())?;
    connection.command(format!("{answer}\r\n")).map_err(|error| said(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        let challenge = STANDARD.encode("<1896.697170952@postoffice.reston.mci.net>");
        assert_eq!(
            answer("tim", "tanstaaftanstaaf", &challenge).unwrap(),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
        );
        assert!(answer("tim", "x", "not base64!").unwrap_err().contains("base64"));
    }

    #[test]
    fn keys_of_each_length() {
        // The cases of RFC 2202: a short key, one of a word, one longer than a block.
        let hex = |digest: [u8; 16]| digest.map(|byte| format!("{byte:02x}")).concat();
        for (key, text, digest) in [
            (&[0x0b; 16][..], &b"Hi There"[..], "9294727a3638bb1c13f48ef8158bfc9d"),
            (b"Jefe", b"what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
        ] {
            assert_eq!(hex(hmac_md5(key, text)), digest);
        }
    }
}

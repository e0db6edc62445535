//! Injected mail: whatever a request says, a message that is made of it has lines as mail has them, and no value brings a
//! header field with it.

use super::lines::has_bare_ending;
use ringmta_accept::inject::fuzzing::{made_of, Made};
use ringmta_policy::HeaderBlock;
use serde_json::Value;

/// Fields that a message of parts has without being asked for them.
const OURS: [&str; 9] = [
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// The bytes are the body of a request.
pub fn check(data: &[u8]) {
    let Ok(messages) = made_of(data) else { return };
    let request: Value = serde_json::from_slice(data).expect("it was read before");
    for Made { body, of_parts } in messages {
        assert!(body.ends_with(b"\r\n"));
        assert!(!has_bare_ending(&body), "a bare line end");
        assert!(body.split(|b| *b == b'\n').all(|line| line.len() <= 999), "too long a line");
        if of_parts {
            parts(&body, &request);
        }
    }
}

fn parts(body: &[u8], request: &Value) {
    let block = HeaderBlock::new(body);
    let asked = request["content"]["headers"].as_object();
    let mut known = 0;
    for field in block.fields() {
        let name = String::from_utf8_lossy(field.name);
        let ours = OURS.iter().any(|n| n.eq_ignore_ascii_case(&name));
        let theirs = asked.is_some_and(|all| all.keys().any(|n| n.eq_ignore_ascii_case(&name)));
        assert!(ours || theirs, "{name} came from nowhere");
        known += field.range.len();
        let value = String::from_utf8_lossy(field.value);
        assert!(!value.contains("EVIL\r\n") || value.is_ascii());
    }
    assert_eq!(known, block.end(), "a line of the header that is no field");
    assert!(body[..block.end()].is_ascii() || has_wide_address(request), "8 bits in the header");
}

/// Addresses are kept as they are given (RFC 6532).
fn has_wide_address(request: &Value) -> bool {
    let one = |mailbox: &Value| mailbox["email"].as_str().is_some_and(|email| !email.is_ascii());
    let content = &request["content"];
    let wide = |value: &Value| !value.to_string().is_ascii();
    one(&content["from"])
        || one(&content["reply_to"])
        || request["recipients"].as_array().is_some_and(|all| all.iter().any(wide))
        || wide(&request["substitutions"])
        || wide(&content["headers"])
}

/// Requests of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = [
        r#"{"envelope_sender":"a@src.test","recipients":[{"email":"u@dst.test","name":"U, V","substitutions":{"n":"x\r\nBcc: y@z"}}],"content":"Subject: {{ n }}\nFrom: a@src.test\n\nHello {{ name }}\n"}"#,
        r#"{"envelope_sender":"","recipients":[{"email":"u@dst.test"},{"email":"v@dst.test","metadata":{"m":1}}],"content":{"text_body":"Hi {{ email }}","html_body":"<b>{{ n }}</b>","subject":"J\u00fc {{ n }}","from":{"email":"a@src.test","name":"A \"B\""},"reply_to":{"email":"r@src.test"},"headers":{"X-One":"{{ n }}","Cc":"J\u00fc <c@d>, e@f"},"attachments":[{"data":"aGk=","content_type":"image/png","content_id":"c","base64":true},{"data":"text","content_type":"text/plain","file_name":"\u00e4.txt"}]},"substitutions":{"n":"<x>"}}"#,
        r#"{"envelope_sender":"a@src.test","recipients":[{"email":"u@dst.test"}],"content":{"text_body":"{{#if email}}{{email}}{{/if}}","headers":{"From":"a@src.test","Subject":"s"}},"template_dialect":"Handlebars","trace_headers":{"header_name":"X-T","include_meta_names":["a"]}}"#,
        r#"{"envelope_sender":"a@src.test","recipients":[{"email":"u@dst.test"}],"content":"Subject: x\r\r\n\n{{ no }}","template_dialect":"Static","deferred_spool":true}"#,
    ];
    all.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_taken() {
        for seed in seeds() {
            let made = made_of(&seed).unwrap();
            assert!(!made.is_empty(), "{}", seed.escape_ascii());
        }
    }
}

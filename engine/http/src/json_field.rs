//! Which field of a JSON text stands at a place: what a reader says of a value it does not take names the place alone.

/// What is open at a place.
enum Open {
    Object { key: String, reads_key: bool },
    Array { index: usize },
}

/// The field at a line and column as serde_json counts them, such as `recipients[0].email`; empty when it is the whole text.
pub fn at(text: &[u8], line: usize, column: usize) -> String {
    let before: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let end = before.saturating_add(column).min(text.len());
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < end {
        let byte = text[at];
        at += 1;
        match (byte, open.last_mut()) {
            (b'"', top) => {
                let from = at;
                at = string_end(text, at);
                if let (Some(Open::Object { key, reads_key: true }), true) = (top, at < text.len())
                {
                    *key = String::from_utf8_lossy(&text[from..at]).into_owned();
                }
                at += 1;
            }
            (b'{', _) => open.push(Open::Object { key: String::new(), reads_key: true }),
            (b'[', _) => open.push(Open::Array { index: 0 }),
            (b'}' | b']', _) => drop(open.pop()),
            (b':', Some(Open::Object { reads_key, .. })) => *reads_key = false,
            (b',', Some(Open::Object { key, reads_key })) => {
                key.clear();
                *reads_key = true;
            }
            (b',', Some(Open::Array { index })) => *index += 1,
            _ => {}
        }
    }
    path(&open)
}

/// Where the string ends that begins at `at`: at its quotation mark.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

fn path(open: &[Open]) -> String {
    let mut path = String::new();
    for one in open {
        match one {
            Open::Object { key, .. } if key.is_empty() => {}
            Open::Object { key, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.extend(key.chars().take(100).filter(|c| !c.is_control()));
            }
            Open::Array { index } => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_its_field() {
        let text = b"{\"a\": 1,\n \"list\": [{\"x\": \"q\\\"}\"}, {\"email\": 5}], \"z\": {}}";
        let of = |needle: &str| {
            let shown = std::str::from_utf8(text).unwrap();
            let offset = shown.find(needle).unwrap() + needle.len();
            let line = shown[..offset].matches('\n').count() + 1;
            let column = offset - shown[..offset].rfind('\n').map_or(0, |at| at + 1);
            at(text, line, column)
        };
        assert_eq!(of("\"a\": 1"), "a");
        assert_eq!(of("\"x\": \"q"), "list[0].x");
        assert_eq!(of("\"email\": 5"), "list[1].email");
        assert_eq!(of("5}"), "list[1]");
        assert_eq!(of("\"z\": {}"), "z");
        assert_eq!(of("{}}"), "");
        assert_eq!(at(b"\"open", 1, 99), "");
        assert_eq!(at(b"", 9, 9), "");
        assert_eq!(at(b"{\"\\", 1, 3), "");
    }
}

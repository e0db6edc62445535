//! Items of a pattern that stand for one byte: a class, a set, any byte, itself.

/// The end of the item at `at`, in bytes.
///
/// # Errors
/// The pattern ends within it; the words are Lua's.
pub(super) fn item_end(pattern: &[u8], at: usize) -> Result<usize, &'static str> {
    match pattern.get(at) {
        Some(b'%') if at + 1 >= pattern.len() => Err("malformed pattern (ends with '%')"),
        Some(b'%') => Ok(at + 2),
        Some(b'[') => set_end(pattern, at + 1),
        _ => Ok(at + 1),
    }
}

fn set_end(pattern: &[u8], mut at: usize) -> Result<usize, &'static str> {
    if pattern.get(at) == Some(&b'^') {
        at += 1;
    }
    // The first byte belongs to the set even when it is a bracket.
    let mut first = true;
    loop {
        match pattern.get(at) {
            None => return Err("malformed pattern (missing ']')"),
            Some(b']') if !first => return Ok(at + 1),
            Some(b'%') => at += 2,
            Some(_) => at += 1,
        }
        first = false;
    }
}

/// Whether the item `pattern[at..end]` stands for this byte.
pub(super) fn is_one(byte: u8, pattern: &[u8], at: usize, end: usize) -> bool {
    match pattern[at] {
        b'.' => true,
        b'%' => class(byte, pattern[at + 1]),
        b'[' => in_set(byte, &pattern[at + 1..end - 1]),
        itself => itself == byte,
    }
}

/// Whether a byte is in a set, given without its brackets.
pub(super) fn in_set(byte: u8, set: &[u8]) -> bool {
    let (set, wanted) = match set {
        [b'^', rest @ ..] => (rest, false),
        set => (set, true),
    };
    let mut at = 0;
    while at < set.len() {
        match (set[at], set.get(at + 1), set.get(at + 2)) {
            (b'%', Some(&letter), _) => {
                if class(byte, letter) {
                    return wanted;
                }
                at += 2;
            }
            (low, Some(b'-'), Some(&high)) => {
                if (low..=high).contains(&byte) {
                    return wanted;
                }
                at += 3;
            }
            (itself, ..) => {
                if itself == byte {
                    return wanted;
                }
                at += 1;
            }
        }
    }
    !wanted
}

/// Classes of the C locale; an upper case letter is the complement, what is no class stands for itself.
fn class(byte: u8, letter: u8) -> bool {
    let of = match letter.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b, // Rust leaves the vertical tab out
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0, // undocumented since 5.2, and still there
        _ => return letter == byte,
    };
    of != letter.is_ascii_uppercase()
}

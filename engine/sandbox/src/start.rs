//! Beginnings of texts.

/// The beginning of a text: whole characters of no more than so many bytes.
pub(super) fn start_of(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

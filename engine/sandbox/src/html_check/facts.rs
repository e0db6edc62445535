//! What was seen in a message's HTML and its styles, each with how often.

use std::collections::HashMap;

/// Facts by their names, such as `tag:p` or `property:margin`, and how often each was seen.
#[derive(Default)]
pub struct Facts {
    counts: HashMap<String, usize>,
    /// Elements, those of the head not counted.
    pub nodes: usize,
}

impl Facts {
    /// Saw one.
    pub fn saw(&mut self, kind: &str, name: &str) {
        // Names come from the message: a long one is none that anybody looks for.
        if name.len() <= 64 {
            *self.counts.entry(format!("{kind}:{}", name.to_ascii_lowercase())).or_insert(0) += 1;
        }
    }

    /// How often.
    pub fn count(&self, key: &str) -> usize {
        self.counts.get(key).copied().unwrap_or(0)
    }
}

/// Whether a value begins so, whatever the case.
pub fn begins(value: &str, with: &str) -> bool {
    value.trim_start().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// The format of an image, by its address.
pub fn image(address: &str, facts: &mut Facts) {
    if begins(address, "data:image/") {
        facts.saw("image", "base64");
        return;
    }
    let path = address.split(['?', '#']).next().unwrap_or("");
    if let Some((_, extension)) = path.rsplit_once('.') {
        facts.saw("image", extension);
    }
}

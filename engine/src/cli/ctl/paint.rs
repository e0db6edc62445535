//! Colours, where they are wanted: on a terminal, and nowhere where NO_COLOR is set.

use super::args::Colour;
use std::io::IsTerminal;

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// As asked for.
    pub fn new(when: Colour) -> Paint {
        Paint(match when {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !forbidden && std::io::stdout().is_terminal()
            }
        })
    }

    /// No colours.
    #[cfg(test)]
    pub fn none() -> Paint {
        Paint(false)
    }

    fn in_colour(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.in_colour("1", text)
    }

    /// Something that is not as it should be.
    pub fn bad(self, text: &str) -> String {
        self.in_colour("31", text)
    }

    /// Something that is well.
    pub fn good(self, text: &str) -> String {
        self.in_colour("32", text)
    }

    /// Something to look at.
    pub fn warn(self, text: &str) -> String {
        self.in_colour("33", text)
    }

    /// Something in the background.
    pub fn dim(self, text: &str) -> String {
        self.in_colour("2", text)
    }
}

/// `text` without control characters: what strangers have said may hold some, and a terminal obeys them.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

//! Where options come from: which call of the policy made them, and which section of a data file said what they are.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// Where a table of options was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeAt {
    /// The call, `kumo.make_egress_path`; empty where the policy has no say and the defaults hold.
    pub call: &'static str,
    /// File and line of the call, where that is known.
    pub place: Option<(String, usize)>,
    /// By option, the section of the data file that it was read from.
    pub sections: BTreeMap<String, String>,
}

impl MadeAt {
    /// Who has set `option`, for people: the section of a data file, the call with file and line, or the default.
    pub fn of(&self, option: &str) -> String {
        let call = match &self.place {
            _ if self.call.is_empty() => return "the default: the policy says nothing".into(),
            Some((file, line)) => format!("{} at {file}:{line}", self.call),
            None => self.call.to_string(),
        };
        match self.sections.get(option) {
            Some(section) => format!("{section} (by {call})"),
            None => call,
        }
    }
}

/// Options, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The options.
    pub options: T,
    /// Where they were made.
    pub at: Arc<MadeAt>,
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_comes_before_the_call() {
        let mut at = MadeAt { call: "kumo.make_egress_path", ..MadeAt::default() };
        assert_eq!(at.of("max_age"), "kumo.make_egress_path");
        at.place = Some(("init.lua".into(), 7));
        assert_eq!(at.of("max_age"), "kumo.make_egress_path at init.lua:7");
        at.sections.insert("max_age".into(), "shaping.toml: `a.test`".into());
        assert_eq!(
            at.of("max_age"),
            "shaping.toml: `a.test` (by kumo.make_egress_path at init.lua:7)"
        );
        assert!(MadeAt::default().of("max_age").contains("default"));
    }
}

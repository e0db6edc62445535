//! One thing that is wrong with a policy, with its place.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The policy would not start, or would fail when it is used.
    Error,
    /// It works, but perhaps not as meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, when it is known.
    pub file: String,
    /// Line, 0 when it is not known.
    pub line: usize,
    /// How bad.
    pub grade: Grade,
    /// What.
    pub text: String,
}

impl Finding {
    /// A finding; a place at the start of the text (`file:12: ...`) becomes its place.
    pub fn new(grade: Grade, text: &str) -> Finding {
        let mut parts = text.splitn(3, ':');
        let (file, line, rest) = (parts.next(), parts.next(), parts.next());
        if let (Some(file), Some(line), Some(rest)) = (file, line, rest) {
            if let (Ok(line), false) = (line.parse(), file.contains(' ')) {
                return Finding { file: file.into(), line, grade, text: rest.trim().into() };
            }
        }
        Finding { file: String::new(), line: 0, grade, text: text.into() }
    }

    pub(crate) fn at(file: &str, line: usize, grade: Grade, text: String) -> Finding {
        Finding { file: file.into(), line, grade, text }
    }

    /// Paths below `root` are told from there. Lua cuts long ones at the front, which then end as the root does.
    pub(crate) fn hide_root(&mut self, root: &str) {
        if let Some(tail) = self.file.strip_prefix("...") {
            let cut = root.char_indices().find_map(|(n, _)| tail.strip_prefix(&root[n..]));
            if let Some(short) = cut {
                self.file = short.to_owned();
            }
        }
        self.file = without(root, &self.file);
        self.text = without(root, &self.text);
    }

    /// One line: what Lua adds below is where it looked, and a long list of names is not read when one is offered.
    pub(crate) fn shorten(&mut self) {
        if let Some(first) = self.text.lines().next() {
            self.text = first.to_owned();
        }
        let list = self.text.find(", expected one of ");
        if let (Some(list), Some(hint)) = (list, self.text.find("; did you mean ")) {
            if hint > list + LONG_LIST_BYTES {
                self.text.replace_range(list..hint, "");
            }
        }
    }
}

/// `text` with paths below `root` told from there. Where a longer path goes through a folder of that name it stays.
fn without(root: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(root).filter(|_| !root.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + root.len()..]);
        out.push_str(before);
        let is_within = |c: char| c.is_alphanumeric() || "/._-".contains(c);
        if out.ends_with(is_within) {
            out.push_str(root);
        }
        rest = after;
    }
    out + rest
}

/// Lists of names longer than this give way to a suggestion.
const LONG_LIST_BYTES: usize = 120;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
            f.write_str(" ")?;
        }
        let grade = match self.grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
        };
        write!(f, "{grade}: {}", self.text)
    }
}

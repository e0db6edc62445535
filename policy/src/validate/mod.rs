//! Checking a policy as a start would, and further: all findings, not only the first.
//!
//! Layout: `lex` (tokens of Lua sources), `scan` (names the host does not know, files that are not there), `run` (start-up and
//! the configuration events, with every bad option collected).

mod lex;
mod run;
mod scan;

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use crate::host::Host;

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
    pub(crate) fn new(grade: Grade, text: &str) -> Finding {
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
    fn hide_root(&mut self, root: &str) {
        if let Some(tail) = self.file.strip_prefix("...") {
            let cut = root.char_indices().find_map(|(n, _)| tail.strip_prefix(&root[n..]));
            if let Some(short) = cut {
                self.file = short.to_owned();
            }
        }
        self.file = self.file.replace(root, "");
        self.text = self.text.replace(root, "");
    }

    /// One line: what Lua adds below is where it looked, and a long list of names is not read when one is offered.
    fn shorten(&mut self) {
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

/// Lists of names longer than this give way to a suggestion.
const LONG_LIST_BYTES: usize = 120;

/// The same thing met twice, by the scan of the sources and by the run, is told once, by the one that knows more.
fn settle(findings: &mut Vec<Finding>) {
    let all = findings.clone();
    let said = |f: &Finding, words: &[&str]| {
        all.iter().any(|o| {
            o.file == f.file
                && o.line == f.line
                && words.iter().any(|w| o.text.ends_with(w) || o.text.contains(&format!("{w};")))
        })
    };
    findings.retain(|f| {
        let vague = f.text.contains("a nil value (field") || f.text.contains("' not found:");
        !(vague && said(f, &["does not exist", "is not there"]))
    });
    // A key file that is not there keeps the place where it is named.
    let keys: Vec<String> =
        all.iter().filter_map(|f| f.text.strip_prefix("key ").map(str::to_owned)).collect();
    let placed = |key: &str| all.iter().any(|f| f.text == key);
    findings.retain(|f| !f.text.strip_prefix("key ").is_some_and(placed));
    for f in findings.iter_mut().filter(|f| keys.contains(&f.text)) {
        f.grade = Grade::Error;
    }
}

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

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// All findings, by place.
    pub findings: Vec<Finding>,
    /// Lua files that were read.
    pub files: usize,
    /// What the policy asks for at start-up.
    pub init: crate::InitConfig,
    /// Events it handles.
    pub events: Vec<String>,
    /// What it has said itself (`kumo.log_error`, `print`), a line each.
    pub said: Vec<String>,
}

impl Report {
    /// Findings of a grade.
    pub fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|f| f.grade == grade).count()
    }

    /// The findings one per line, with paths below `root` shortened, and a last line that sums up.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for f in &self.findings {
            out.push_str(&format!("{f}\n"));
        }
        let (errors, warnings) = (self.count(Grade::Error), self.count(Grade::Warning));
        let n = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let verdict = if errors == 0 { "OK" } else { "not usable" };
        out.push_str(&format!(
            "{verdict}: {}, {} in {}\n",
            n(errors, "error"),
            n(warnings, "warning"),
            n(self.files, "file")
        ));
        out
    }

    /// The report as JSON.
    pub fn json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|f| {
                serde_json::json!({
                    "file": f.file,
                    "line": (f.line > 0).then_some(f.line),
                    "grade": if f.grade == Grade::Error { "error" } else { "warning" },
                    "text": f.text,
                })
            })
            .collect();
        serde_json::json!({
            "ok": self.count(Grade::Error) == 0,
            "errors": self.count(Grade::Error),
            "warnings": self.count(Grade::Warning),
            "files": self.files,
            "events": self.events,
            "said": self.said,
            "findings": findings,
        })
    }
}

/// Checks a policy file and all it requires.
///
/// # Errors
/// The file cannot be read at all.
pub fn check(file: &Path, host: Rc<dyn Host>) -> Result<Report, String> {
    std::fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut report = run::run(file, host)?;
    let folder = file.parent().map(|p| format!("{}/", p.display())).unwrap_or_default();
    if folder != "/" && !folder.is_empty() {
        report.findings.iter_mut().for_each(|f| f.hide_root(&folder));
    }
    report.findings.iter_mut().for_each(Finding::shorten);
    settle(&mut report.findings);
    report.findings.sort();
    report.findings.dedup();
    Ok(report)
}

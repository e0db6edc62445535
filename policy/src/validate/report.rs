//! What a check of a policy found.

use crate::vm::finding::{Finding, Grade};

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// All findings, by place.
    pub findings: Vec<Finding>,
    /// Lua files that were read.
    pub files: usize,
    /// What the policy asks for at start-up.
    pub init: ringmta_options::InitConfig,
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

//! All checks of a policy, and what they find put together.

use std::path::Path;
use std::rc::Rc;

use super::report::Report;
use super::run;
use crate::host::Host;
use crate::vm::finding::{Finding, Grade};

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

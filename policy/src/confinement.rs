//! What a confined process may not do, known to the policy host: it says so where the system only says `Permission denied`.
//! The kernel refuses; nothing is decided here.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folders below which this process may write; empty when it is not confined.
static WRITABLE: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Notes that this process is confined from now on, and may write below `folders` only.
pub fn note(folders: Vec<PathBuf>) {
    // Once confined it stays so; a second engine in one process can only be confined further.
    let _ = WRITABLE.set(folders);
}

/// Whether this process is confined.
pub fn is_in_force() -> bool {
    WRITABLE.get().is_some()
}

/// To be put behind an error about writing to `path`: why, and what helps. Empty when confinement is not the reason.
pub fn why_not_written(path: &Path) -> String {
    match WRITABLE.get() {
        Some(folders) => explain(folders, path),
        None => String::new(),
    }
}

fn explain(folders: &[PathBuf], path: &Path) -> String {
    // A file that is still to be made has no path of its own yet.
    let real = path.canonicalize().or_else(|_| match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.canonicalize(),
        _ => Path::new(".").canonicalize(),
    });
    let real = real.unwrap_or_else(|_| path.to_path_buf());
    if folders.iter().any(|folder| real.starts_with(folder)) {
        return String::new();
    }
    format!(
        "; this engine is confined and does not write to {}: start it with --may-write DIR to add a folder, or \
         with --no-confine",
        path.display()
    )
}

/// Why `program` was not run.
pub fn why_not_run(program: &str) -> String {
    format!(
        "{program}: this engine is confined and runs no programs; --no-confine lets its policy run them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let folders = [top.join("in")];
        std::fs::create_dir(&folders[0]).unwrap();
        std::os::unix::fs::symlink("in", top.join("link")).unwrap();
        assert_eq!(explain(&folders, &top.join("in/new")), "");
        assert_eq!(explain(&folders, &top.join("link/new")), "");
        assert!(explain(&folders, &top.join("new")).contains("--no-confine"));
        assert!(explain(&folders, &top.join("inner")).contains("--may-write"));
    }
}

//! The files a policy is made of, watched for changes.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

use crate::families::files::glob::glob;

/// The globs that are watched unless the policy names others: what usually lies beside its file.
pub fn default_globs(policy_file: &Path) -> Vec<String> {
    let folder = policy_file.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).display();
    vec![format!("{folder}/**/*.{{lua,json,toml,yaml}}")]
}

/// The files that match, sorted.
///
/// # Errors
/// Too many match, or too many had to be looked at.
pub fn files(globs: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for pattern in globs {
        all.extend(glob(pattern, None).map_err(|why| format!("{pattern}: {why}"))?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// A number that changes when a file is added, removed or written.
///
/// # Errors
/// As [`files`].
pub fn fingerprint(globs: &[String]) -> Result<u64, String> {
    let mut hash = DefaultHasher::new();
    for file in files(globs)? {
        // A file that goes this moment is gone at the next look.
        let Ok(data) = std::fs::metadata(&file) else { continue };
        (file, data.len(), data.modified().ok()).hash(&mut hash);
    }
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("init.lua");
        std::fs::write(&policy, "a").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "a").unwrap();
        let globs = default_globs(&policy);
        assert_eq!(files(&globs).unwrap(), [policy.display().to_string()]);
        let first = fingerprint(&globs).unwrap();
        assert_eq!(fingerprint(&globs), Ok(first));
        std::fs::write(dir.path().join("notes.txt"), "more").unwrap();
        assert_eq!(fingerprint(&globs), Ok(first));
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/shaping.toml"), "a").unwrap();
        let second = fingerprint(&globs).unwrap();
        assert_ne!(second, first);
        std::fs::write(&policy, "longer").unwrap();
        assert_ne!(fingerprint(&globs), Ok(second));
    }
}

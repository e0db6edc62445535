//! File names by pattern: `*`, `?`, `[abc]` inside a name, `**` for any depth.

use std::path::{Path, PathBuf};

/// Files one pattern may find, and folders it may look into.
const MAX_FOUND: usize = 100_000;

/// Files whose path matches, sorted.
pub(crate) fn glob(pattern: &str, base: Option<&str>) -> Result<Vec<String>, String> {
    let whole = match base {
        Some(base) if !pattern.starts_with('/') => Path::new(base).join(pattern),
        _ => PathBuf::from(pattern),
    };
    let mut start = PathBuf::new();
    let mut parts: Vec<String> = Vec::new();
    for part in whole.components() {
        let text = part.as_os_str().to_string_lossy().into_owned();
        if parts.is_empty() && !text.contains(['*', '?', '[']) {
            start.push(part);
        } else {
            parts.push(text);
        }
    }
    let mut found = Vec::new();
    walk(&start, &parts, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(at: &Path, parts: &[String], found: &mut Vec<String>) -> Result<(), String> {
    if found.len() > MAX_FOUND {
        return Err("too many files match".into());
    }
    let Some((first, rest)) = parts.split_first() else {
        if at.exists() {
            found.push(at.display().to_string());
        }
        return Ok(());
    };
    if first == "**" {
        walk(at, rest, found)?;
    }
    let folder = if at.as_os_str().is_empty() { Path::new(".") } else { at };
    // A folder that is not there holds nothing.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if first == "**" {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                walk(&at.join(&name), parts, found)?;
            }
        } else if (!name.starts_with('.') || first.starts_with('.')) && matches(first, &name) {
            walk(&at.join(&name), rest, found)?;
        }
    }
    Ok(())
}

/// Whether one name matches one part of a pattern.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let n: Vec<char> = name.chars().collect();
    go(&p, &n)
}

fn go(p: &[char], n: &[char]) -> bool {
    match (p.first(), n.first()) {
        (None, None) => true,
        (Some('*'), _) => go(&p[1..], n) || (!n.is_empty() && go(p, &n[1..])),
        (Some('?'), Some(_)) => go(&p[1..], &n[1..]),
        (Some('['), Some(c)) => match p.iter().position(|c| *c == ']') {
            Some(end) => {
                let (set, negated) = match p.get(1) {
                    Some('!' | '^') => (&p[2..end], true),
                    _ => (&p[1..end], false),
                };
                let range = set.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(c));
                (set.contains(c) || range) != negated && go(&p[end + 1..], &n[1..])
            }
            None => *c == '[' && go(&p[1..], &n[1..]),
        },
        (Some(a), Some(b)) if a == b => go(&p[1..], &n[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (pattern, name, wanted) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.json", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn trees() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["x.toml", "a/y.toml", "a/b/z.toml", "a/n.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let base = dir.path().to_str().unwrap();
        assert_eq!(glob("*.toml", Some(base)).unwrap(), [format!("{base}/x.toml")]);
        assert_eq!(glob("**/*.toml", Some(base)).unwrap().len(), 3);
        assert_eq!(glob("/no/such/*", None).unwrap().len(), 0);
    }
}

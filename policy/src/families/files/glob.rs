//! File names by pattern: `*`, `?`, `[abc]` inside a name, `**` for any depth.

use std::path::{Path, PathBuf};

/// Files one pattern may find, and entries of folders it may look at.
const MAX_FOUND: usize = 100_000;
/// Patterns that one with alternatives may stand for.
const MAX_ALTERNATIVES: usize = 256;

/// Files whose path matches, sorted.
pub(crate) fn glob(pattern: &str, base: Option<&str>) -> Result<Vec<String>, String> {
    let mut walk = Walk::default();
    for pattern in alternatives(pattern)? {
        walk.pattern(&pattern, base)?;
    }
    walk.found.sort();
    walk.found.dedup();
    Ok(walk.found)
}

/// What `{a,b}` stands for, written out.
fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        if open.len() + done.len() >= MAX_ALTERNATIVES {
            return Err("too many alternatives".into());
        }
        // The last brace that opens holds no other.
        let parts = next.rfind('{').and_then(|from| {
            let to = from + next[from..].find('}')?;
            Some((&next[..from], &next[from + 1..to], &next[to + 1..]))
        });
        match parts {
            Some((before, inside, behind)) => {
                open.extend(inside.split(',').map(|one| format!("{before}{one}{behind}")));
            }
            None => done.push(next),
        }
    }
    Ok(done)
}

#[derive(Default)]
struct Walk {
    found: Vec<String>,
    seen: usize,
}

impl Walk {
    fn pattern(&mut self, pattern: &str, base: Option<&str>) -> Result<(), String> {
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
        self.walk(&start, &parts)
    }

    fn walk(&mut self, at: &Path, parts: &[String]) -> Result<(), String> {
        if self.found.len() > MAX_FOUND {
            return Err("too many files match".into());
        }
        let Some((first, rest)) = parts.split_first() else {
            if at.exists() {
                self.found.push(at.display().to_string());
            }
            return Ok(());
        };
        if first == "**" {
            self.walk(at, rest)?;
        }
        let folder = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        // A folder that is not there holds nothing.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            self.seen += 1;
            if self.seen > MAX_FOUND {
                return Err("too many files to look at".into());
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if first == "**" {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    self.walk(&at.join(&name), parts)?;
                }
            } else if (!name.starts_with('.') || first.starts_with('.')) && matches(first, &name) {
                self.walk(&at.join(&name), rest)?;
            }
        }
        Ok(())
    }
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
    fn alternatives_are_written_out() {
        let sorted = |pattern| {
            let mut all = alternatives(pattern).unwrap();
            all.sort();
            all
        };
        assert_eq!(sorted("*.{a,b}"), ["*.a", "*.b"]);
        assert_eq!(sorted("{x,{y,z}}{1,2}"), ["x1", "x1", "x2", "x2", "y1", "y2", "z1", "z2"]);
        assert_eq!(sorted("{a"), ["{a"]);
        assert!(alternatives(&"{a,b}".repeat(20)).is_err());
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

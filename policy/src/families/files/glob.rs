//! File names by pattern: `*`, `?`, `[abc]` inside a name, `**` for any depth.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

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

/// One part of a path.
enum Part {
    /// `**`: any depth.
    Deep,
    /// One name. Hidden ones only where the pattern begins with a dot.
    Name { glob: NamePattern, hidden: bool },
}

impl Part {
    fn new(text: &str) -> Part {
        match text {
            "**" => Part::Deep,
            text => Part::Name { glob: NamePattern::new(text), hidden: text.starts_with('.') },
        }
    }
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
        let mut parts: Vec<Part> = Vec::new();
        for part in whole.components() {
            let text = part.as_os_str().to_string_lossy().into_owned();
            if parts.is_empty() && !text.contains(['*', '?', '[']) {
                start.push(part);
            } else {
                parts.push(Part::new(&text));
            }
        }
        self.walk(&start, &parts)
    }

    fn walk(&mut self, at: &Path, parts: &[Part]) -> Result<(), String> {
        if self.found.len() > MAX_FOUND {
            return Err("too many files match".into());
        }
        let Some((first, rest)) = parts.split_first() else {
            if at.exists() {
                self.found.push(at.display().to_string());
            }
            return Ok(());
        };
        if matches!(first, Part::Deep) {
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
            match first {
                Part::Deep if entry.file_type().is_ok_and(|t| t.is_dir()) => {
                    self.walk(&at.join(&name), parts)?;
                }
                Part::Name { glob, hidden }
                    if (*hidden || !name.starts_with('.')) && glob.is_match(&name) =>
                {
                    self.walk(&at.join(&name), rest)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One part of a pattern, for one name.
pub(crate) enum NamePattern {
    Glob(GlobMatcher),
    /// What cannot be a pattern (`[` that is not closed) is a name.
    Name(String),
}

impl NamePattern {
    pub fn new(text: &str) -> NamePattern {
        match GlobBuilder::new(text).backslash_escape(false).build() {
            Ok(glob) => NamePattern::Glob(glob.compile_matcher()),
            Err(_) => NamePattern::Name(text.to_owned()),
        }
    }

    /// Whether a name matches.
    pub fn is_match(&self, name: &str) -> bool {
        match self {
            NamePattern::Glob(glob) => glob.is_match(name),
            NamePattern::Name(own) => own == name,
        }
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
            ("[^a-c]x", "dx", true),
            ("a[b", "a[b", true),
            ("{a", "{a", true),
            ("a\\*", "a\\b", true),
        ] {
            assert_eq!(NamePattern::new(pattern).is_match(name), wanted, "{pattern} {name}");
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

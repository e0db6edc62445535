//! Checks on the tree itself: rules that no compiler knows.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest source file, lines.
const FILE_LINES_MAX: usize = 600;
/// Longest function, lines.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every file of the tree that is under version control, or would be. A tree without git (an
/// unpacked archive) is walked.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let names = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        _ => {
            let output = Command::new("find")
                .args([".", "-name", "target", "-prune", "-o", "-type", "f", "-print"])
                .current_dir(root())
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        }
    };
    let files: Vec<PathBuf> = names.lines().map(PathBuf::from).collect();
    assert!(files.len() > 100, "only {} files found", files.len());
    files.into_iter().filter(|file| root().join(file).exists()).collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_default()
}

fn sources() -> Vec<(PathBuf, String)> {
    let is_rust = |file: &PathBuf| file.extension().is_some_and(|ext| ext == "rs");
    files().into_iter().filter(is_rust).map(|file| (file.clone(), read(&file))).collect()
}

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let agreed = [
        ".ci",
        ".gitignore",
        "ARCHITECTURE.md",
        "COMPAT.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "docs",
        "bench",
        "ci",
        "engine",
        "loadgen",
        "local",
        "policy",
        "rustfmt.toml",
        "clippy.toml",
        ".cargo",
        ".dockerignore",
        ".gitattributes",
    ];
    let top = |file: &PathBuf| file.components().next().map(|c| c.as_os_str().to_os_string());
    let strange = files()
        .into_iter()
        .filter_map(|file| top(&file))
        .filter(|name| !agreed.contains(&name.to_str().unwrap_or("")));
    let mut strange: Vec<String> = strange.map(|name| format!("{name:?}")).collect();
    strange.dedup();
    none(strange);
}

#[test]
fn files_have_one_idea() {
    let long = sources().into_iter().filter_map(|(file, text)| {
        let lines = text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", file.display()))
    });
    none(long.collect());
}

#[test]
fn functions_fit_a_screen() {
    let mut long = Vec::new();
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            // As rustfmt sets it, the brace that ends a function stands below its beginning.
            let ends = |line: &&str| line.trim_end() == format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(ends).map_or(1, |end| end + 1);
            let is_short = line.ends_with(['}', ';']);
            if !is_short && length > FUNCTION_LINES_MAX {
                long.push(format!("{}:{}: {length} lines", file.display(), at + 1));
            }
        }
    }
    none(long);
}

fn begins_function(line: &str) -> bool {
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    let rest = line.split_whitespace().find(|word| !words.contains(word));
    rest == Some("fn")
}

#[test]
fn unsafe_code_is_in_io_only() {
    let found = sources().into_iter().filter_map(|(file, text)| {
        let allowed = file.starts_with("engine/io/src") || file.ends_with("tidy.rs");
        (!allowed && text.contains("allow(unsafe_code)")).then(|| file.display().to_string())
    });
    none(found.collect());
}

#[test]
fn io_alone_names_the_executor() {
    let found = sources().into_iter().filter_map(|(file, text)| {
        let named = ["ring.rs", "pump.rs", "executor.rs", "direct.rs"];
        let allowed = named.iter().any(|name| *file == Path::new("engine/io/src").join(name))
            || file.ends_with("tidy.rs");
        (!allowed && text.contains("glommio::")).then(|| file.display().to_string())
    });
    none(found.collect());
}

#[test]
fn every_limit_is_used() {
    let sources = sources();
    let mut unused = Vec::new();
    for (file, text) in sources.iter().filter(|(file, _)| file.ends_with("limits.rs")) {
        for name in text.lines().filter_map(|line| line.trim().strip_prefix("pub const ")) {
            let name = name.split(':').next().unwrap_or("").trim();
            let uses: usize = sources.iter().map(|(_, text)| words(text, name)).sum();
            if uses < 2 {
                unused.push(format!("{}: {name}", file.display()));
            }
        }
    }
    none(unused);
}

/// How often `word` stands in `text`, not as a part of another.
fn words(text: &str, word: &str) -> usize {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let whole = |(at, _): &(usize, &str)| {
        !part(text[..*at].chars().next_back()) && !part(text[at + word.len()..].chars().next())
    };
    text.match_indices(word).filter(whole).count()
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read(Path::new("ARCHITECTURE.md"));
    let mut missing = Vec::new();
    for file in files().iter().filter(|file| file.ends_with("Cargo.toml")) {
        let text = read(file);
        let Some(from) = text.find("\n[dependencies]\n") else { continue };
        let section = text[from + 16..].split("\n[").next().unwrap_or("");
        for line in section.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            let ours = name.starts_with("ringmta") || ["loadgen", ""].contains(&name);
            if !ours && !reasons.contains(&format!("**{name}**")) {
                missing.push(format!("{}: {name}", file.display()));
            }
        }
    }
    none(missing);
}

#[test]
fn scripts_are_explained_and_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let explained = ["ci/README.md", "bench/README.md"].map(|file| read(Path::new(file))).concat();
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| file.extension().is_some_and(|ext| ext == "sh")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !explained.contains(name) {
            wrong.push(format!("{}: in neither README", file.display()));
        }
        let mode = std::fs::metadata(root().join(file)).unwrap().permissions().mode();
        if mode & 0o111 == 0 {
            wrong.push(format!("{}: not executable", file.display()));
        }
    }
    none(wrong);
}

#[test]
fn nothing_names_the_machine_it_was_made_on() {
    let words = ["/work/", "/root/", "127.0.0.1:3128", "artifactory"];
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.ends_with("tidy.rs")) {
        let text = read(file);
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }
    none(found);
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.extension().is_some_and(|ext| ext == "md")) {
        let text = read(file);
        for link in text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or("");
            let outside = link.is_empty() || link.contains("://") || link.contains(' ');
            let at = root().join(file.parent().unwrap_or(Path::new(""))).join(link);
            if !outside && !at.exists() {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    none(broken);
}

/// Whether a line of .dockerignore means `path`: a name, or `FOLDER/*.EXT`, `FOLDER/**/*.EXT` or `**/*.EXT`.
fn rule_means(rule: &str, path: &str) -> bool {
    if let Some(name) = rule.strip_prefix("**/").filter(|name| !name.contains('*')) {
        return path.split('/').any(|part| part == name);
    }
    let Some((folder, ending)) = rule.rsplit_once('*') else {
        return path == rule || path.starts_with(&format!("{rule}/"));
    };
    let (folder, is_deep) = match folder.strip_suffix("**/") {
        Some(folder) => (folder, true),
        None => (folder, false),
    };
    assert!(!folder.contains('*'), "a rule of .dockerignore that this test does not know: {rule}");
    let Some(rest) = path.strip_prefix(folder) else { return false };
    rest.ends_with(ending) && (is_deep || !rest.contains('/'))
}

/// A program that is built in a container's image has every file that it is made with.
#[test]
fn images_are_sent_what_the_program_includes() {
    let ignored = read(Path::new(".dockerignore"));
    let rules: Vec<&str> =
        ignored.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let is_sent = |path: &str| {
        let last = rules.iter().rev().find(|rule| rule_means(rule.trim_start_matches('!'), path));
        last.is_none_or(|rule| rule.starts_with('!'))
    };
    assert!(!is_sent("README.md") && !is_sent("target/debug/ringmta"));
    assert!(!is_sent("docs/src/why.md") && !is_sent("ci/all.sh") && is_sent("ci/fuzz/a.sh"));
    let mut found = Vec::new();
    let mut included = 0;
    for (file, text) in sources() {
        let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
        let is_shipped = file.starts_with("engine") || file.starts_with("policy");
        if !is_shipped || file.iter().any(is_test) {
            continue;
        }
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for rest in program.split("include_").skip(1) {
            let Some(rest) = ["str!(", "bytes!("].iter().find_map(|m| rest.strip_prefix(m)) else {
                continue;
            };
            let Some(name) = rest.trim_start().strip_prefix('"') else { continue };
            let name = name.split('"').next().unwrap_or_default();
            let path = root().join(file.parent().unwrap()).join(name).canonicalize().unwrap();
            let path = path.strip_prefix(root().canonicalize().unwrap()).unwrap();
            included += 1;
            if !is_sent(path.to_str().unwrap()) {
                found.push(format!("{}: {} is in .dockerignore", file.display(), path.display()));
            }
        }
    }
    assert!(included > 20, "only {included} includes found");
    none(found);
}

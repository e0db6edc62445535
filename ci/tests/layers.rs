//! The layers of the house: which crate may use which, and that no files import each other in a circle. Reads the sources;
//! prints the map that ARCHITECTURE.md shows.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Every crate of the engine and the policy, lowest first, with the crates it may name. What is not listed is forbidden.
const LAYERS: [(&str, &str, &[&str]); 16] = [
    ("io", "engine/io", &[]),
    ("mail", "policy/mail", &[]),
    ("options", "policy/options", &["mail"]),
    ("suffixes", "policy/suffixes", &[]),
    ("policy", "policy", &["mail", "options", "suffixes"]),
    ("http", "engine/http", &["io", "mail", "policy"]),
    ("smtp", "engine/smtp", &["io", "mail", "options"]),
    ("spool", "engine/spool", &["io", "mail"]),
    ("queue", "engine/queue", &["io", "mail", "options", "smtp", "spool"]),
    ("events", "engine/events", &["io", "mail", "options", "policy", "smtp"]),
    (
        "shard",
        "engine/shard",
        &["io", "mail", "options", "policy", "smtp", "spool", "queue", "events"],
    ),
    (
        "accept",
        "engine/accept",
        &["io", "mail", "options", "policy", "http", "smtp", "spool", "queue", "events", "shard"],
    ),
    (
        "egress",
        "engine/egress",
        &["io", "mail", "options", "policy", "smtp", "spool", "queue", "events", "shard"],
    ),
    ("sandbox", "engine/sandbox", &["io", "mail", "http", "smtp"]),
    (
        "ringmta",
        "engine",
        &[
            "io", "mail", "options", "policy", "http", "smtp", "spool", "queue", "events", "shard",
            "accept", "egress", "sandbox",
        ],
    ),
    (
        "simulation",
        "engine/simulation",
        &[
            "io", "mail", "options", "policy", "http", "smtp", "spool", "queue", "events", "shard",
            "accept", "egress", "sandbox", "ringmta",
        ],
    ),
];

/// Crates beside them, whose files are looked through as well.
const OTHERS: [&str; 3] = ["loadgen", "bench", "ci"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The crates of ours that the crate in `folder` is built with, by its manifest.
fn named_by(folder: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or("");
    let section = section.split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter_map(|name| match name {
            "ringmta" => Some("ringmta".to_string()),
            name => name.strip_prefix("ringmta-").map(str::to_string),
        })
        .collect()
}

#[test]
fn crates_name_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for (at, (name, folder, allowed)) in LAYERS.iter().enumerate() {
        for used in named_by(folder) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
        let below: Vec<&str> = LAYERS[..at].iter().map(|(name, ..)| *name).collect();
        for used in allowed.iter().filter(|used| !below.contains(used)) {
            wrong.push(format!("{name} stands before {used} in the list"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The map: each crate with those it names, without those that it reaches by way of others.
fn map() -> String {
    let named: BTreeMap<&str, BTreeSet<String>> =
        LAYERS.iter().map(|(name, folder, _)| (*name, named_by(folder))).collect();
    let mut reached: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut text = String::new();
    for (name, folder, _) in LAYERS {
        let by_way = |used: &String| {
            named[name].iter().any(|other| other != used && reached[other.as_str()].contains(used))
        };
        let direct: Vec<&str> =
            named[name].iter().filter(|used| !by_way(used)).map(String::as_str).collect();
        text.push_str(format!("{name:<11}{folder:<19}{}", direct.join(" ")).trim_end());
        text.push('\n');
        let mut all = named[name].clone();
        named[name].iter().for_each(|used| all.extend(reached[used.as_str()].iter().cloned()));
        reached.insert(name, all);
    }
    text
}

#[test]
fn the_map_in_architecture_is_the_real_one() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let map = map();
    assert!(text.contains(&map), "ARCHITECTURE.md does not show the map as it is:\n\n{map}");
}

/// The files of one crate by module path, as text that has neither comments nor strings nor tests.
struct Crate {
    files: BTreeMap<Vec<String>, String>,
    /// What a module passes on: by module and name, where it comes from.
    passed_on: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl Crate {
    fn read(src: &Path) -> Crate {
        let mut files = BTreeMap::new();
        let mut folders = vec![src.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    let text = code(&std::fs::read_to_string(&path).unwrap());
                    files.insert(module_of(src, &path), text);
                }
            }
        }
        let tests: Vec<Vec<String>> =
            files.iter().flat_map(|(m, text)| test_files(m, text)).collect();
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let mut found = Crate { files, passed_on: BTreeMap::new() };
        for (module, text) in &found.files {
            for (path, name) in
                uses(text).into_iter().filter(|used| used.is_public).map(|u| (u.path, u.name))
            {
                let Some(path) = found.absolute(module, &path) else { continue };
                found.passed_on.insert((module.clone(), name), path);
            }
        }
        found
    }

    /// A path as the crate's root would write it; `None` when it leads out of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            // A module declared here.
            first => {
                let mut child = base.clone();
                child.push(first.to_string());
                self.files.contains_key(&child).then_some(())?;
            }
        }
        while rest.first().is_some_and(|part| part == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file in which what `path` names is defined.
    fn file_of(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        // No name is passed on more often than this.
        for _ in 0..8 {
            let mut module = path.clone();
            while !self.files.contains_key(&module) {
                module.pop();
            }
            let next = path.get(module.len()).cloned();
            let passed = next.and_then(|name| self.passed_on.get(&(module.clone(), name)));
            let Some(passed) = passed else { return module };
            let rest = path.split_off(module.len() + 1);
            path = [passed.clone(), rest].concat();
        }
        Vec::new()
    }

    /// Which files each file imports.
    fn imports(&self) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
        let imports = |(module, text): (&Vec<String>, &String)| {
            // Passing on is no use: a list of modules names its children, and they may not name it.
            let used = uses(text).into_iter().filter(|used| !used.is_public).map(|used| used.path);
            let paths = used.chain(paths(text));
            let files = paths.filter_map(|path| Some(self.file_of(&self.absolute(module, &path)?)));
            (module.clone(), files.filter(|file| file != module).collect())
        };
        self.files.iter().map(imports).collect()
    }
}

fn module_of(src: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut parts: Vec<String> =
        inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The text without comments, string literals and the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                out.push_str("\"\"");
            }
            // A quotation mark as a character begins no string.
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
                chars.next();
            }
            c => out.push(c),
        }
    }
    out
}

/// Modules that are there for tests only.
fn test_files(module: &[String], text: &str) -> Vec<Vec<String>> {
    let declared = text.split("#[cfg(test)]").skip(1);
    let names = declared.filter_map(|rest| {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("pub ").or(rest.strip_prefix("pub(crate) ")).unwrap_or(rest);
        rest.strip_prefix("mod ")?.split([';', ' ']).next()
    });
    names.map(|name| [module.to_vec(), vec![name.to_string()]].concat()).collect()
}

struct Use {
    path: Vec<String>,
    /// As it is called here.
    name: String,
    is_public: bool,
}

/// Everything that `use` brings in.
fn uses(text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].rsplit('\n').next().unwrap().trim();
        let is_public = before.starts_with("pub");
        if !before.is_empty() && !is_public {
            continue;
        }
        let tree = text[at + 4..].split(';').next().unwrap();
        for (path, name) in leaves(tree, &[]) {
            found.push(Use { path, name, is_public });
        }
    }
    found
}

/// The paths of a `use` tree, each with the name it gets.
fn leaves(tree: &str, before: &[String]) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    for part in split_at_top(tree) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let (path, inner) = match part.split_once('{') {
            Some((path, inner)) => (path, inner.rsplit_once('}').map(|(inner, _)| inner)),
            None => (part, None),
        };
        let (path, alias) = path.split_once(" as ").map_or((path, None), |(p, a)| (p, Some(a)));
        let parts = path.split("::").map(|part| part.trim().to_string()).filter(|p| !p.is_empty());
        let mut path: Vec<String> = before.iter().cloned().chain(parts).collect();
        match inner {
            Some(inner) => found.extend(leaves(inner, &path)),
            None => {
                if path.len() > 1 && path.last().is_some_and(|last| last == "self" || last == "*") {
                    path.pop();
                }
                let last = path.last().cloned().unwrap_or_default();
                found.push((path, alias.map_or(last, |alias| alias.trim().to_string())));
            }
        }
    }
    found
}

fn split_at_top(tree: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[begin..]);
    parts
}

/// Paths in the code that begin at the crate's root or at a module above.
fn paths(text: &str) -> Vec<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            // `$crate` of a macro, the middle of a path, or a `use`, which was read already.
            let before = text[..at].trim_end_matches(' ');
            let in_use = before.ends_with("use");
            if text[..at].ends_with(|c| is_word(c) || c == ':' || c == '$') || in_use {
                continue;
            }
            let path = text[at..].split(|c| !is_word(c) && c != ':').next().unwrap();
            found.push(path.split("::").filter(|p| !p.is_empty()).map(str::to_string).collect());
        }
    }
    found
}

/// Sets of files that reach each other.
fn circles(imports: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Vec<Vec<String>> {
    let reach = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(file) = open.pop() {
            for next in imports.get(&file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        imports.keys().map(|file| (file, reach(file))).collect();
    let mut found = BTreeSet::new();
    for (file, all) in &reached {
        let circle: Vec<String> = all
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(*file)))
            .map(|file| file.join("/"))
            .collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let folders = LAYERS.iter().map(|(_, folder, _)| *folder).chain(OTHERS);
    let mut found = Vec::new();
    for folder in folders {
        let src: PathBuf = root().join(folder).join("src");
        let read = Crate::read(&src);
        assert!(!read.files.is_empty(), "{folder} has no sources");
        for circle in circles(&read.imports()) {
            found.push(format!("{folder}: {}", circle.join(" ")));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_reader_of_sources_sees_circles() {
    let text = |text: &str| code(text);
    let path = |text: &str| text.split('/').map(str::to_string).collect::<Vec<_>>();
    let mut read = Crate {
        files: [
            (Vec::new(), text("pub mod a;\npub mod b;\npub use a::One;\n")),
            (path("a"), text("use crate::b::Two; // crate::c\npub struct One;\n")),
            (
                path("b"),
                text("pub struct Two(pub crate::One);\nconst S: &str = \"crate::a::One\";\n"),
            ),
        ]
        .into(),
        passed_on: BTreeMap::new(),
    };
    read.passed_on.insert((Vec::new(), "One".into()), path("a/One"));
    assert_eq!(circles(&read.imports()), [path("a/b")], "through what the root passes on");
    let tree = "crate::{self, a::{One, Two as Three}, b::*}";
    let names: Vec<String> =
        leaves(tree, &[]).into_iter().map(|(p, n)| format!("{}={n}", p.join("/"))).collect();
    assert_eq!(names, ["crate=crate", "crate/a/One=One", "crate/a/Two=Three", "crate/b=b"]);
}

//! What the sources of a tree name: modules, functions of the host, events, files.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use mlua::{Lua, Table, Value};
use ringmta_options::suggest;

use super::keys;
use super::lex::{tokens, Token};
use super::tree::{argument, find, is_joined, requires, Found};
use crate::event_table;
use crate::families::refused;
use crate::vm::finding::{Finding, Grade};

/// Endings of files a policy reads by name.
const DATA: [&str; 6] = [".toml", ".json", ".pem", ".key", ".crt", ".yaml"];
/// Files that are in the binary when they are not on disk.
const IN_BINARY: [&str; 3] =
    ["policy-extras/shaping.toml", "community/shaping.toml", "bounce_classifier/iana.toml"];

pub(super) struct Scan<'a> {
    /// Has all that the host provides.
    lua: &'a Lua,
    /// Has the modules that the tree has loaded.
    loaded: &'a Lua,
    pub findings: Vec<Finding>,
    pub files: usize,
    /// Where the policy lies.
    folder: PathBuf,
    /// Handlers of events that use only the last one: where they were registered.
    handlers: HashMap<String, Vec<(String, usize)>>,
}

impl<'a> Scan<'a> {
    pub fn new(lua: &'a Lua, loaded: &'a Lua) -> Scan<'a> {
        Scan {
            lua,
            loaded,
            findings: Vec::new(),
            files: 0,
            folder: PathBuf::new(),
            handlers: HashMap::new(),
        }
    }

    /// Scans a file and all files it requires.
    pub fn tree(&mut self, policy: &Path) {
        let folder = policy.parent().map(Path::to_owned).unwrap_or_default();
        self.folder.clone_from(&folder);
        let mut seen = BTreeSet::new();
        let mut waiting = VecDeque::from([policy.to_owned()]);
        while let Some(path) = waiting.pop_front() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let Ok(source) = std::fs::read(&path) else { continue };
            self.files += 1;
            let name = path.display().to_string();
            let tokens = tokens(&String::from_utf8_lossy(&source));
            for (line, module) in requires(&tokens) {
                match find(&folder, &module) {
                    Found::File(path) => waiting.push_back(path),
                    Found::Built => {}
                    Found::Nowhere => self.findings.push(Finding::at(
                        &name,
                        line,
                        Grade::Error,
                        format!("module `{module}` is not there"),
                    )),
                }
            }
            self.file(&name, &tokens);
        }
        self.shadowed();
    }

    fn file(&mut self, name: &str, tokens: &[(usize, Token)]) {
        let aliases = aliases(tokens);
        for (at, (line, token)) in tokens.iter().enumerate() {
            match token {
                Token::Name(first) => {
                    let after = at.checked_sub(1).map(|n| &tokens[n].1);
                    if matches!(after, Some(Token::Sign('.' | ':'))) {
                        continue;
                    }
                    let module = match aliases.get(first) {
                        Some(module) => module.as_str(),
                        None if first == "kumo" => "kumo",
                        None => continue,
                    };
                    let path = path_after(&tokens[at + 1..]);
                    if module == "kumo" && path == ["on"] {
                        if let Some((event, at)) = argument(&tokens[at + 3..]) {
                            self.event(name, at, event);
                        }
                    }
                    let behind = tokens.get(at + 1 + 2 * path.len()).map(|(_, token)| token);
                    let is_called = matches!(behind, Some(Token::Sign('(' | '{') | Token::Text(_)));
                    // Asking whether it is there is no mistake that stops anything.
                    let grade = if is_called { Grade::Error } else { Grade::Warning };
                    self.path((name, *line), module, first, &path, grade);
                }
                // Of a path that is put together this is a part.
                Token::Text(text) if !is_joined(tokens, at) => {
                    self.findings.extend(keys::look(name, tokens, at));
                    self.data_file(name, *line, text);
                }
                Token::Text(_) => {}
                Token::Sign(_) => {}
            }
        }
    }

    /// A module as the policy has it: the one it has loaded, else what the host provides under that name. A module of the
    /// tree that was not loaded is not known.
    fn module(&self, name: &str) -> Option<Table> {
        let package: Table = self.loaded.globals().get("package").ok()?;
        let loaded: Table = package.get("loaded").ok()?;
        match loaded.get(name) {
            Ok(Value::Table(table)) => return Some(table),
            Ok(Value::Nil) => {}
            _ => return None,
        }
        if matches!(find(&self.folder, name), Found::File(_)) {
            return None;
        }
        let require: mlua::Function = self.lua.globals().get("require").ok()?;
        match require.call(name) {
            Ok(Value::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// Whether a path such as `kumo.dns.lookup_mx` exists.
    fn path(
        &mut self,
        (file, line): (&str, usize),
        module: &str,
        shown: &str,
        path: &[&str],
        grade: Grade,
    ) {
        let Some(mut table) = self.module(module) else { return };
        for (depth, part) in path.iter().enumerate() {
            let whole = || format!("{shown}.{}", path[..=depth].join("."));
            if let Some(why) = refused::why_here(&format!("{module}.{}", path[..=depth].join(".")))
            {
                // Where it is called it is an error of that call; here it may stand in what is never run.
                let text =
                    format!("{} is not supported by this version of ringmta: {why}", whole());
                return self.findings.push(Finding::at(file, line, Grade::Warning, text));
            }
            match table.get::<Value>(*part) {
                Ok(Value::Table(inner)) => table = inner,
                Ok(Value::Nil) => {
                    let hint = nearest_key(&table, part)
                        .map(|k| format!("; did you mean `{k}`?"))
                        .unwrap_or_default();
                    let text = format!("{} does not exist{hint}", whole());
                    return self.findings.push(Finding::at(file, line, grade, text));
                }
                _ => return,
            }
        }
    }

    fn event(&mut self, file: &str, line: usize, event: &str) {
        if let Some(advice) = event_table::advice(event) {
            self.findings.push(Finding::at(file, line, Grade::Warning, advice));
        }
        if event_table::find(event).is_some_and(|e| !e.multi) {
            self.handlers.entry(event.to_owned()).or_default().push((file.to_owned(), line));
        }
    }

    /// Handlers that can never run because a later one takes their place.
    fn shadowed(&mut self) {
        for (event, places) in std::mem::take(&mut self.handlers) {
            let Some(((file, line), shadowed)) = places.split_last() else { continue };
            for (other, at) in shadowed {
                let text = format!(
                    "this handler of `{event}` is not used: only the last one is ({file}:{line})"
                );
                self.findings.push(Finding::at(other, *at, Grade::Warning, text));
            }
        }
    }

    fn data_file(&mut self, file: &str, line: usize, text: &str) {
        let named = text.starts_with('/')
            && !text.contains(['%', '*', '{', '$', ' ', '\n'])
            && DATA.iter().any(|e| text.ends_with(e));
        if named && !Path::new(text).exists() && !IN_BINARY.iter().any(|b| text.ends_with(b)) {
            let text = format!("file {text} is not there");
            self.findings.push(Finding::at(file, line, Grade::Warning, text));
        }
    }
}

fn nearest_key(table: &Table, name: &str) -> Option<String> {
    let keys: Vec<String> =
        table.pairs::<String, Value>().filter_map(|p| p.ok()).map(|p| p.0).collect();
    suggest::nearest(name, keys.iter().map(String::as_str)).map(str::to_owned)
}

/// `.a.b` or `:a` behind a name; ends before a call, an index or an assignment.
fn path_after(tokens: &[(usize, Token)]) -> Vec<&str> {
    let mut path = Vec::new();
    let mut rest = tokens;
    while let [(_, Token::Sign('.' | ':')), (_, Token::Name(part)), more @ ..] = rest {
        path.push(part.as_str());
        rest = more;
    }
    let sign = |n: usize| match rest.get(n) {
        Some((_, Token::Sign(c))) => Some(*c),
        _ => None,
    };
    if sign(0) == Some('=') && sign(1) != Some('=') {
        // The tree defines the field itself.
        path.pop();
    }
    path
}

/// `local x = require 'kumo'` and the helper modules: names that stand for what the host provides.
fn aliases(tokens: &[(usize, Token)]) -> HashMap<String, String> {
    let mut out = HashMap::new();
    for (n, window) in tokens.windows(3).enumerate() {
        let [(_, Token::Name(alias)), (_, Token::Sign('=')), (_, Token::Name(require))] = window
        else {
            continue;
        };
        if require != "require" {
            continue;
        }
        if let Some((module, _)) = argument(&tokens[n + 3..]) {
            let known = module == "kumo" || module.starts_with("policy-extras.");
            // `require('x').y` is not the module.
            let behind = if matches!(tokens[n + 3].1, Token::Text(_)) { n + 4 } else { n + 6 };
            let part = matches!(tokens.get(behind), Some((_, Token::Sign('.' | ':'))));
            if known && !part {
                out.insert(alias.clone(), module.to_owned());
            }
        }
    }
    out
}

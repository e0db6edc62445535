//! The files of a policy: which modules a source requires, and where they are.

use std::path::{Path, PathBuf};

use super::lex::Token;
use crate::loading::extras::SHARE;

/// Where modules are looked for, beside the folder of the policy.
const PLACES: [&str; 2] = ["/opt/kumomta/etc/policy", "/opt/kumomta/share"];

/// Whether the token at `at` is joined to another by `..`.
pub(super) fn is_joined(tokens: &[(usize, Token)], at: usize) -> bool {
    let is_dot = |at: usize| matches!(tokens.get(at), Some((_, Token::Sign('.'))));
    at.checked_sub(1).is_some_and(is_dot) || is_dot(at + 1)
}

/// The text that is the first argument of a call.
pub(super) fn argument(tokens: &[(usize, Token)]) -> Option<(&str, usize)> {
    match tokens {
        [(line, Token::Text(t)), ..] => Some((t, *line)),
        [(_, Token::Sign('(')), (line, Token::Text(t)), ..] => Some((t, *line)),
        _ => None,
    }
}

/// Modules required by name, unless a failure is caught.
pub(super) fn requires(tokens: &[(usize, Token)]) -> Vec<(usize, String)> {
    let is = |n: usize, name: &str| matches!(&tokens[n].1, Token::Name(w) if w == name);
    (0..tokens.len())
        .filter(|n| is(*n, "require"))
        .filter_map(|n| argument(&tokens[n + 1..]).map(|(m, line)| (line, m.to_owned())))
        .collect()
}

/// Where a module is.
pub(super) enum Found {
    /// In this file.
    File(PathBuf),
    /// In the program.
    Built,
    /// Nowhere.
    Nowhere,
}

/// Looks for a module that a policy in `folder` requires.
pub(super) fn find(folder: &Path, module: &str) -> Found {
    let relative = module.replace('.', "/");
    let inner = folder.join("policy");
    // What KumoMTA has installed under the name of a helper of ours is not loaded.
    let is_ours = crate::loading::extras::has(module);
    let installed = PLACES.iter().map(Path::new);
    let installed = installed.filter(|place| !is_ours || *place != Path::new(SHARE));
    for place in [folder, &inner].into_iter().chain(installed) {
        for name in [format!("{relative}.lua"), format!("{relative}/init.lua")] {
            let path = place.join(name);
            if path.is_file() {
                return Found::File(path);
            }
        }
    }
    let built = [
        "kumo",
        "redis",
        "sqlite",
        "string",
        "table",
        "math",
        "os",
        "io",
        "utf8",
        "coroutine",
        "debug",
        "package",
    ];
    match built.contains(&module) || crate::loading::extras::has(module) {
        true => Found::Built,
        false => Found::Nowhere,
    }
}

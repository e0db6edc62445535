//! The functions that families declare, by their paths.

use crate::families::declared::DECLARED;
use crate::vm::declared::FnDef;

/// The declaration of a function.
pub(super) fn declared(path: &str) -> Option<&'static FnDef> {
    all().find(|def| def.paths().iter().any(|p| p == path))
}

/// All declarations, by family.
pub(super) fn all() -> impl Iterator<Item = &'static FnDef> {
    DECLARED.iter().copied().flatten()
}

/// Names and types of the arguments; a name that ends in `?` may be left out.
pub(super) fn args(def: &FnDef) -> Vec<(&'static str, &'static str)> {
    let mut depth = 0;
    let between = |c: char| {
        depth += i32::from(matches!(c, '<' | '(')) - i32::from(matches!(c, '>' | ')'));
        c == ',' && depth == 0
    };
    let each = def.args.split(between).map(str::trim).filter(|arg| !arg.is_empty());
    each.map(|arg| arg.split_once(": ").unwrap_or((arg, "any"))).collect()
}

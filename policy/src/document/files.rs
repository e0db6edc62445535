//! The generated files.

use std::path::{Path, PathBuf};

use super::{compat, lua_types, reference};

/// Every generated file, by its path below the repository `root`, with its text.
pub fn files(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut out = vec![(PathBuf::from("COMPAT.md"), compat::page(root)?)];
    out.push(("policy/types/kumo.lua".into(), lua_types::kumo()?));
    out.push(("policy/types/options.lua".into(), lua_types::options()));
    out.extend(reference::pages());
    Ok(out)
}

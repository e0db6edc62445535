//! Test files, found and run.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures::executor::block_on;

use super::host::TestHost;
use super::lua;
use crate::limits::{MAX_TEST_DEPTH, MAX_TEST_FILES};
use crate::loading::policy::Policy;
use crate::process::shared::Shared;
use crate::vm::context::Mode;
use crate::vm::error::PolicyError;
use crate::vm::machine::Vm;

/// One case of a test file.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Why it failed; `None` when it passed.
    pub failure: Option<String>,
}

/// One test file.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// Its cases, in order.
    pub cases: Vec<Case>,
    /// Why it could not be run at all.
    pub broken: Option<String>,
}

impl Outcome {
    /// Cases that failed; 1 for a file that could not be run.
    pub fn failures(&self) -> usize {
        let failed = self.cases.iter().filter(|c| c.failure.is_some()).count();
        failed + usize::from(self.broken.is_some())
    }
}

/// The test files below a folder, sorted.
///
/// # Errors
/// The folder cannot be read, or there is more in it than the limits allow.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut out = Vec::new();
    walk(folder, 0, &mut out)?;
    out.sort();
    Ok(out)
}

fn walk(folder: &Path, depth: usize, out: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    if depth > MAX_TEST_DEPTH {
        return Err(format!("{}: the folders are nested too deeply", folder.display()));
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link may lead back up: only real folders are entered.
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, depth + 1, out)?;
        } else if entry.file_name().to_string_lossy().ends_with("_test.lua") {
            out.push(path);
        }
        if out.len() > MAX_TEST_FILES {
            return Err(format!("more than {MAX_TEST_FILES} test files"));
        }
    }
    Ok(())
}

/// The policy a folder of tests is about: `init.lua` in it, or in the folder above.
pub fn policy_of(folder: &Path) -> Option<PathBuf> {
    [folder.join("init.lua"), folder.join("../init.lua")].into_iter().find(|p| p.is_file())
}

/// Runs one file.
pub fn run(policy: &Path, file: &Path) -> Outcome {
    let mut out = Outcome { file: file.to_owned(), cases: Vec::new(), broken: None };
    match cases(policy, file) {
        Ok(cases) if cases.is_empty() => out.broken = Some("the file has no test case".into()),
        Ok(cases) => out.cases = cases,
        Err(e) => out.broken = Some(e),
    }
    out
}

fn cases(policy: &Path, file: &Path) -> Result<Vec<Case>, String> {
    let host = TestHost::new();
    let shared = Shared::new(2);
    let failed = |e: mlua::Error| e.to_string();
    let vm = Vm::new(shared, Rc::new(host.clone()), Mode::Run).map_err(failed)?;
    vm.set_path(policy).map_err(failed)?;
    let world = lua::install(&vm, &host).map_err(failed)?;
    vm.eval_file(policy).map_err(said)?;
    let tree = Policy { vm };
    let init = block_on(tree.run_init()).map_err(said)?;
    lua::set_init(&tree.vm.lua, &world, &init).map_err(failed)?;
    let source = std::fs::read(file).map_err(|e| e.to_string())?;
    let chunk = tree.vm.lua.load(source).set_name(format!("@{}", file.display()));
    let chunk = chunk.into_function().map_err(|e| said(crate::vm::error::from_lua("test", &e)))?;
    block_on(tree.vm.call::<()>("test", chunk, ())).map_err(said)?;
    let results = block_on(host.drive(lua::run(&tree, &world)))?;
    let case = |(name, failure): (String, Option<String>)| Case { name, failure };
    Ok(results.into_iter().map(case).collect())
}

fn said(e: PolicyError) -> String {
    match e {
        PolicyError::Lua(l) => l.message,
        other => other.to_string(),
    }
}

//! Trees that are broken on purpose, and what is said about them.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::testing::*;
use crate::validate::check;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

/// Each folder holds a tree and `expected.txt`. With `UPDATE_EXPECTED` set the texts are written anew.
#[test]
fn broken_trees_are_told_in_full() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let dir = entry.unwrap().path();
        let report = check(&dir.join("init.lua"), Rc::new(HostHandle(FakeHost::new()))).unwrap();
        let text = report.text();
        let expected = dir.join("expected.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(text, wanted, "{}", dir.display());
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_shipped_tree_is_clean() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/init.lua");
    let report = check(&tree, Rc::new(HostHandle(FakeHost::new()))).unwrap();
    assert!(report.findings.is_empty(), "{}", report.text());
    assert!(check(Path::new("/no/such.lua"), Rc::new(HostHandle(FakeHost::new()))).is_err());
}

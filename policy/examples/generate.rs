//! Writes the generated files: annotations, reference pages, `COMPAT.md`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match write(&root) {
        Ok(n) => {
            println!("{n} files written");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("generate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> Result<usize, String> {
    let files = ringmta_policy::document::files(root)?;
    for (path, text) in &files {
        let whole = root.join(path);
        let failed = |e: std::io::Error| format!("{}: {e}", whole.display());
        if let Some(folder) = whole.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&whole, text).map_err(failed)?;
    }
    Ok(files.len())
}

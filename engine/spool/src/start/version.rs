//! A spool that a newer engine has written is not opened by an older one: its mail would lie there, and what the older
//! one adds to it the newer might not understand. Looked for before anything is written.

use crate::log::header::Header;
use crate::log::partition::SpoolPaths;
use crate::log::{journal, segment};
use crate::start::replay;
use ringmta_io::limits::BLOCK_BYTES;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Looks at the header of every segment and journal.
///
/// # Errors
/// One line that names a file of a newer version, and both versions; or why a file cannot be read.
pub fn refuse_newer(paths: &SpoolPaths) -> Result<(), String> {
    let segments = (&paths.data, segment::VERSION, "segment");
    let journals = (&paths.meta, replay::VERSION, "journal");
    for (base, version, kind) in [segments, journals] {
        for path in files(base).map_err(|error| format!("spool {}: {error}", base.display()))? {
            let header = first_block(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let header = match kind {
                "segment" => segment::parse_header(&header),
                _ => replay::parse_header(&header),
            };
            if let Header::OtherVersion(found) = header {
                if found > version {
                    return Err(format!(
                        "{} is a {kind} of format version {found}, this engine reads version {version}: a newer \
                         ringmta has written this spool; start that one. Nothing was changed",
                        path.display()
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The files of every partition of a spool; none when there is no spool yet.
fn files(base: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let partitions = match std::fs::read_dir(base) {
        Ok(partitions) => partitions,
        // What else is there in its place, or that it is another user's, is told by whoever makes the folder.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(found)
        }
        Err(error) => return Err(error),
    };
    for partition in partitions {
        let partition = partition?.path();
        let name = partition.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.parse::<usize>().is_err() || !partition.is_dir() {
            continue;
        }
        for path in std::fs::read_dir(&partition)? {
            let path = path?.path();
            if segment::name_number(&path).or(journal::name_number(&path)).is_some() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn first_block(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut block = Vec::new();
    File::open(path)?.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
    Ok(block)
}

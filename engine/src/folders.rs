//! The folders a policy names: made and looked at by the user the engine runs as, before any mail comes; and the two small
//! files in the spool that are the process's own, its locks and the id of the installation.

use ringmta_io::beneath;
use ringmta_io::beneath::{Folder, FILE_MODE};
use ringmta_io::privileges::User;
use ringmta_io::system;
use ringmta_spool::log::partition::SpoolPaths;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Name of the file whose lock says that an engine runs on a spool folder.
pub const LOCK: &str = "lock";

/// Permissions of that file: who can open it can lock it, and keep the engine from starting.
const LOCK_MODE: u32 = 0o600;

/// Longest id of an installation; a UUID has 36.
const NODE_ID_BYTES: u64 = 128;

/// Makes `path` if it is not there, and makes sure that it can be written to. `what` names it in the error.
///
/// # Errors
/// One line that names the folder, the user, the cause and the cure.
pub fn prepare(what: &str, path: &Path) -> Result<Folder, String> {
    let refused = |error: io::Error| unwritable(what, path, &error);
    beneath::make_folders(path).map_err(refused)?;
    let folder = Folder::open(path).map_err(refused)?;
    let probe = ".probe";
    let written = folder.write(probe, LOCK_MODE).and_then(|mut file| file.write_all(b"probe"));
    match written.and_then(|()| folder.remove(probe)) {
        // That there is no room now is no reason not to start: mail waits here to go out, and then there is.
        Err(error) if is_full(&error) => drop(folder.remove(probe)),
        other => other.map_err(refused)?,
    }
    Ok(folder)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn unwritable(what: &str, path: &Path, error: &io::Error) -> String {
    let User { name, gid, .. } = User::current();
    let shown = path.display();
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied if path.exists() => {
            format!("as root: chown -R {name}:{gid} {shown}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("as root: install -d -o {name} -g {gid} -m 0750 {shown}")
        }
        _ => "check it, and what is in it".into(),
    };
    format!("{what} {shown} cannot be written by the user {name}: {error}; {cure}")
}

/// The locks of a spool: held as long as this lives.
pub type Locks = Vec<File>;

/// One engine per spool folder, and folders that can be written: both are known before any mail comes.
///
/// # Errors
/// One line that names the cause and the cure.
pub fn lock_spool(spool: &SpoolPaths) -> Result<Locks, String> {
    let mut locks: Locks = Vec::new();
    for path in [&spool.data, &spool.meta] {
        let folder = prepare("spool", path)?;
        let failed = |error: io::Error| format!("spool {}: {LOCK}: {error}", path.display());
        let file = folder.write(LOCK, LOCK_MODE).map_err(failed)?;
        // Made by an earlier version, or under another mask.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(LOCK_MODE);
        file.set_permissions(mode).map_err(failed)?;
        let id = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let own = id(&file).map_err(failed)?;
        // Both spools in one folder: it is locked already.
        if locks.iter().any(|held| id(held).is_ok_and(|held| held == own)) {
            continue;
        }
        system::lock(&file).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => format!(
                "spool {} is in use by another ringmta: stop it or name another spool folder",
                path.display()
            ),
            _ => failed(error),
        })?;
        locks.push(file);
    }
    Ok(locks)
}

/// Where the id of the installation is kept: a folder and a name in it.
fn node_id_place(meta: &Path) -> (PathBuf, String) {
    if let Some(path) = std::env::var_os("KUMO_NODE_ID_PATH").map(PathBuf::from) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            return (folder.into(), name.to_string_lossy().into());
        }
    }
    (meta.into(), "node-id".into())
}

/// The id of this installation: from the environment, or kept beside the spool.
///
/// # Errors
/// One line on what is wrong with the one that is kept.
pub fn node_id(meta: &Path) -> Result<String, String> {
    if let Ok(id) = std::env::var("KUMO_NODE_ID") {
        return Ok(id);
    }
    let (place, name) = node_id_place(meta);
    let shown = place.join(&name);
    let failed = |error: io::Error| format!("node id {}: {error}", shown.display());
    let folder = Folder::open(&place).map_err(failed)?;
    let kept = folder.read(&name, NODE_ID_BYTES + 1).map_err(failed)?;
    let id = String::from_utf8_lossy(&kept.unwrap_or_default()).trim().to_string();
    // It stands in every record: nothing but an id may get there.
    if id.len() as u64 > NODE_ID_BYTES || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "node id {}: one word of at most {NODE_ID_BYTES} characters is expected; remove the file to have \
             another made",
            shown.display()
        ));
    }
    if !id.is_empty() {
        return Ok(id);
    }
    let id = ringmta_smtp::ids::random_uuid();
    let written = folder.write(&name, FILE_MODE).and_then(|mut file| writeln!(file, "{id}"));
    if let Err(error) = written {
        tracing::warn!("node id cannot be kept in {}: {error}", shown.display());
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};

    fn spool(dir: &Path) -> SpoolPaths {
        SpoolPaths::new(dir.join("data"), dir.join("meta"), true)
    }

    #[test]
    fn both_folders_are_locked_and_their_locks_are_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let one = spool(dir.path());
        let held = lock_spool(&one).unwrap();
        assert_eq!(held.len(), 2);
        for file in ["data/lock", "meta/lock"] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let other = SpoolPaths::new(dir.path().join("elsewhere"), one.meta.clone(), true);
        assert!(lock_spool(&other).unwrap_err().contains("meta is in use by another ringmta"));
        drop(held);
        lock_spool(&other).unwrap();
        let same = SpoolPaths::new(dir.path().join("s"), dir.path().join("s"), true);
        assert_eq!(lock_spool(&same).unwrap().len(), 1);
    }

    #[test]
    fn links_planted_in_a_spool_lead_nowhere() {
        for name in [".probe", LOCK, "node-id"] {
            let dir = tempfile::tempdir().unwrap();
            let paths = spool(dir.path());
            std::fs::create_dir_all(&paths.meta).unwrap();
            let victim = dir.path().join("victim");
            std::fs::write(&victim, "secret").unwrap();
            symlink(&victim, paths.meta.join(name)).unwrap();
            let outcome = lock_spool(&paths).and_then(|_| node_id(&paths.meta));
            assert!(outcome.is_err(), "{name}: {outcome:?}");
            assert_eq!(std::fs::read(&victim).unwrap(), b"secret", "{name}");
        }
    }

    #[test]
    fn an_id_is_made_once_and_nothing_else_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let id = node_id(dir.path()).unwrap();
        assert_eq!(node_id(dir.path()).unwrap(), id);
        for wrong in ["two words", "a\nb", &"x".repeat(200)] {
            std::fs::write(dir.path().join("node-id"), wrong).unwrap();
            assert!(node_id(dir.path()).is_err(), "{wrong:?}");
        }
    }
}

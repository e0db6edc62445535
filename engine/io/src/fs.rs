//! Names and folders. These calls block for a moment; they are made at start and when segments
//! come and go, never per message.

use crate::sim;
use crate::sim::disk::Entry;
use crate::{beneath, file, system};
use std::io;
use std::path::{Path, PathBuf};

/// Makes `path` and the folders above it, and makes their names durable: what is put into a
/// folder is only as safe as the folder's own name.
///
/// # Errors
/// As mkdir(2) and fsync(2).
pub async fn create_dir_all(path: &Path) -> io::Result<()> {
    if sim::active() {
        for changed in sim::here().disk.create_dir_all(path)? {
            file::sync_dir(&changed).await?;
        }
        return Ok(());
    }
    let missing = path.ancestors().take_while(|dir| !dir.exists()).count();
    beneath::make_folders(path)?;
    for changed in path.ancestors().skip(1).take(missing) {
        let named = !changed.as_os_str().is_empty();
        file::sync_dir(if named { changed } else { Path::new(".") }).await?;
    }
    Ok(())
}

/// Makes the name of `path` durable, and those of the folders above it. A folder that is there may
/// have been made by a process that died before it could do so.
///
/// # Errors
/// As fsync(2). Folders that may not be read are left to whoever they belong to.
pub async fn sync_names(path: &Path) -> io::Result<()> {
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match file::sync_dir(above).await {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            synced => synced?,
        }
    }
    Ok(())
}

/// The paths in a folder, in order.
///
/// # Errors
/// As readdir(3).
pub fn read_dir(path: &Path) -> io::Result<Vec<PathBuf>> {
    if sim::active() {
        return sim::here().disk.read_dir(path);
    }
    let mut found =
        std::fs::read_dir(path)?.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// Whether there is something called `path`.
pub fn exists(path: &Path) -> bool {
    if sim::active() {
        return sim::here().disk.entry(path).is_some();
    }
    path.exists()
}

/// Whether `path` is a folder.
pub fn is_dir(path: &Path) -> bool {
    if sim::active() {
        return sim::here().disk.entry(path) == Some(Entry::Dir);
    }
    path.is_dir()
}

/// Removes a file. Its name may come back with a crash.
///
/// # Errors
/// As unlink(2).
pub fn remove_file(path: &Path) -> io::Result<()> {
    if sim::active() {
        return sim::here().disk.remove_file(path);
    }
    std::fs::remove_file(path)
}

/// Removes a folder and all that is in it, durably.
///
/// # Errors
/// As rmdir(2) and fsync(2).
pub async fn remove_dir_all(path: &Path) -> io::Result<()> {
    if sim::active() {
        sim::here().disk.remove_dir_all(path)?;
    } else {
        std::fs::remove_dir_all(path)?;
    }
    match path.parent() {
        Some(above) => file::sync_dir(above).await,
        None => Ok(()),
    }
}

/// Gives a file another name.
///
/// # Errors
/// As rename(2).
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if sim::active() {
        return sim::here().disk.rename(from, to);
    }
    std::fs::rename(from, to)
}

/// Free space where `path` is: (free bytes, bytes free or in use, free inodes, total inodes).
///
/// # Errors
/// As statvfs(3).
pub fn disk_free(path: &Path) -> io::Result<(u64, u64, u64, u64)> {
    if sim::active() {
        return Ok(sim::here().disk.free());
    }
    system::disk_free(path)
}

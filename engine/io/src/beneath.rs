//! Small files by name inside one folder, opened so that no symbolic link is followed: what lies in a folder may have
//! been put there by whoever else may write to it.

use rustix::fs::{openat, unlinkat, AtFlags, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Permissions of folders the engine makes: nothing for strangers.
pub const FOLDER_MODE: u32 = 0o750;

/// Permissions of files it writes that its group may read.
pub const FILE_MODE: u32 = 0o640;

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens `path`. That it is a link itself is the operator's choice.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Folder(rustix::fs::open(path, flags, Mode::empty())?))
    }

    fn at(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<File> {
        // A pipe of that name must not make the start wait for its other end.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(&self.0, name, flags, Mode::from_raw_mode(mode))?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(file)
    }

    /// Opens the file `name` for writing; it is made when there is none, with permissions `mode`.
    ///
    /// # Errors
    /// As open(2); a symbolic link of that name is refused.
    pub fn write(&self, name: &str, mode: u32) -> io::Result<File> {
        self.at(name, OFlags::CREATE | OFlags::RDWR, mode)
    }

    /// What the file `name` holds, up to `most` bytes; `None` when there is none.
    ///
    /// # Errors
    /// As open(2) and read(2); a symbolic link of that name is refused.
    pub fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match self.at(name, OFlags::RDONLY, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// As unlink(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }
}

/// Makes `path` and the folders above it, with [`FOLDER_MODE`] or what the umask leaves of that.
///
/// # Errors
/// As mkdir(2).
pub fn make_folders(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
}

/// Options that open a file and follow no symbolic link; one that is made has [`FILE_MODE`].
pub fn options() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.mode(FILE_MODE).custom_flags(libc::O_NOFOLLOW);
    options
}

/// Takes the right to write to `file`, and all rights of strangers, from everyone: it is finished.
///
/// # Errors
/// As fchmod(2).
pub fn finish(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o440;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{symlink, PermissionsExt};

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        let inside = dir.path().join("inside");
        make_folders(&inside).unwrap();
        let mode = std::fs::metadata(&inside).unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{mode:o}");
        symlink(&victim, inside.join("link")).unwrap();
        symlink(dir.path().join("none"), inside.join("dangling")).unwrap();
        let folder = Folder::open(&inside).unwrap();
        for name in ["link", "dangling"] {
            assert!(folder.write(name, 0o600).is_err());
            assert!(folder.read(name, 9).is_err());
            assert!(options().append(true).create(true).open(inside.join(name)).is_err());
        }
        assert!(!dir.path().join("none").exists());
        folder.write("own", 0o600).unwrap().write_all(b"text").unwrap();
        assert_eq!(folder.read("own", 3).unwrap().unwrap(), b"tex");
        assert_eq!(folder.read("nothing", 3).unwrap(), None);
        folder.remove("own").unwrap();
        folder.remove("link").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn a_finished_file_is_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = options().create_new(true).write(true).open(dir.path().join("f")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o137, 0);
        finish(&file).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o337, 0);
    }
}

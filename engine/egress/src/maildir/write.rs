//! How a message gets into a Maildir: written to `tmp`, made durable, then given its name in `new`, so that readers never
//! see a part of one. Everything here blocks: for a helper thread.

use ringmta_policy::MessageId;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Modes where a policy gives none: mail is nobody else's business.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What is to be written, and where.
pub(super) struct Work {
    /// The Maildir; it is made when it is not there.
    pub(super) folder: PathBuf,
    /// Name of the file.
    pub(super) name: String,
    /// What tells this try's file in `tmp` from those of others, which may still be written.
    pub(super) draft: u64,
    /// The message.
    pub(super) body: Vec<u8>,
    /// Mode of folders that are made.
    pub(super) dir_mode: Option<u32>,
    /// Mode of the file.
    pub(super) file_mode: Option<u32>,
}

/// A name nobody else gives to a file: when the message came in nanoseconds, its id, its recipient, the host. It is the same
/// at each try, so that one which was given up and ends all the same leaves no second copy.
pub(super) fn name(id: MessageId, recipient: &str, hostname: &str) -> String {
    let created = id.created_unix_nanos();
    let (secs, nanos) = (created / 1_000_000_000, created % 1_000_000_000);
    let [a, b, c, d, ..] = ringmta_io::sha256(recipient.as_bytes());
    let to = u32::from_be_bytes([a, b, c, d]);
    // A slash or a colon in the host's name would mean something here.
    let host = hostname.replace('/', "\\057").replace(':', "\\072");
    format!("{secs}.N{nanos}I{id}R{to:08x}.{host}")
}

impl Work {
    /// Does it; gives the name of the file.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn run(self) -> Result<String> {
        for part in ["tmp", "new", "cur"] {
            make_folders(&self.folder.join(part), self.dir_mode)?;
        }
        let draft = self.folder.join("tmp").join(format!("{}.{:016x}", self.name, self.draft));
        let written = self.write(&draft);
        let new = self.folder.join("new");
        let moved = written.and_then(|()| std::fs::rename(&draft, new.join(&self.name)));
        if let Err(error) = moved {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
        sync_folder(&new)?;
        Ok(self.name)
    }

    fn write(&self, path: &Path) -> Result<()> {
        let mode = self.file_mode.unwrap_or(FILE_MODE);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        if self.file_mode.is_some() {
            // What the policy says holds, whatever the process's mask.
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.write_all(&self.body)?;
        file.sync_all()
    }
}

/// Makes `path` and what is missing above it, each name durable.
fn make_folders(path: &Path, wanted: Option<u32>) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().ok_or_else(|| Error::from(ErrorKind::NotFound))?;
    make_folders(above, wanted)?;
    let mode = wanted.unwrap_or(DIR_MODE);
    match DirBuilder::new().mode(mode).create(path) {
        // Another shard has made it in this instant.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    if wanted.is_some() {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    sync_folder(above)
}

fn sync_folder(path: &Path) -> Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // One that may be passed through but not read: its names are its owner's business.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(folder: PathBuf, name: &str) -> Work {
        let body = b"Subject: x\r\n\r\ny\r\n".to_vec();
        Work { folder, name: name.into(), draft: 1, body, dir_mode: None, file_mode: None }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_message_is_in_new_and_nothing_is_left_in_tmp() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        assert_eq!(work(folder.clone(), "one").run().unwrap(), "one");
        work(folder.clone(), "two").run().unwrap();
        assert_eq!(std::fs::read(folder.join("new/one")).unwrap(), b"Subject: x\r\n\r\ny\r\n");
        let names = |part: &str| std::fs::read_dir(folder.join(part)).unwrap().count();
        assert_eq!((names("tmp"), names("new"), names("cur")), (0, 2, 0));
        assert_eq!((mode(&folder.join("new/one")), mode(&folder)), (0o600, 0o700));
        let shared = Work {
            dir_mode: Some(0o775),
            file_mode: Some(0o664),
            ..work(dir.path().join("c"), "x")
        };
        shared.run().unwrap();
        assert_eq!(mode(&dir.path().join("c/new/x")), 0o664);
        assert_eq!((mode(&dir.path().join("c")), mode(&dir.path().join("c/cur"))), (0o775, 0o775));
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("m");
        work(folder.clone(), "one").run().unwrap();
        std::fs::remove_dir_all(folder.join("new")).unwrap();
        std::fs::write(folder.join("new"), "in the way").unwrap();
        assert!(work(folder.clone(), "two").run().is_err());
        assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
    }
}

//! What the process may still do once it is up: read, and write below the folders its policy has named. No program can
//! be run, and nothing else be written, whatever a fault lets a stranger make it do (Landlock, Linux 5.13).
//!
//! Reading is not restricted: policies open keys, maps and databases by path while mail flows, and which they are nobody
//! knows before. The kernel restricts the calling thread and those it starts, so this is done before the shards' threads.

use landlock::{
    make_bitflags, path_beneath_rules, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, ABI,
};
use ringmta_policy::{confinement, InitConfig};
use ringmta_spool::log::partition::SpoolPaths;
use std::path::{Path, PathBuf};

/// Folders that trees for KumoMTA keep files of their own in.
const CUSTOMARY: [&str; 3] = ["/var/spool/kumomta", "/var/log/kumomta", "/var/lib/kumomta"];

/// Devices that take what is written to them and keep nothing.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"];

/// How an engine is confined.
#[derive(Debug, Clone)]
pub struct Confinement {
    /// Whether it is at all.
    pub is_wanted: bool,
    /// Folders of the operator's that policies write to as well.
    pub may_write: Vec<PathBuf>,
}

impl Default for Confinement {
    fn default() -> Confinement {
        Confinement { is_wanted: true, may_write: Vec::new() }
    }
}

/// Confines the calling thread and all it will start, as far as the kernel can, and says in the log what is in force.
///
/// # Errors
/// One line: a folder that was named is not there, or the kernel refuses what it says it can do.
pub fn apply(wanted: &Confinement, init: &InitConfig, spool: &SpoolPaths) -> Result<(), String> {
    if !wanted.is_wanted {
        tracing::warn!(
            "not confined (--no-confine): programs may be run and files written anywhere"
        );
        return Ok(());
    }
    for folder in &wanted.may_write {
        std::fs::metadata(folder)
            .map_err(|error| format!("--may-write {}: {error}", folder.display()))?;
    }
    let folders = writable(wanted, init, spool);
    let status = restrict(&folders).map_err(|error| {
        format!("confinement by Landlock: {error}; --no-confine starts without it")
    })?;
    let named: Vec<String> = folders.iter().map(|path| path.display().to_string()).collect();
    let named = named.join(", ");
    match status {
        RulesetStatus::NotEnforced => {
            tracing::warn!("not confined: this kernel has no Landlock (5.13, CONFIG_SECURITY_LANDLOCK)");
            return Ok(());
        }
        RulesetStatus::FullyEnforced => tracing::info!(
            "confined: no program can be run, files are written only below {named} (Landlock)"
        ),
        RulesetStatus::PartiallyEnforced => tracing::info!(
            "confined as far as this kernel can: no program can be run, files are made and written only \
             below {named}; cutting other files short is not prevented before Linux 6.2 (Landlock)"
        ),
    }
    confinement::note(folders);
    Ok(())
}

/// Whether this kernel can confine; tried on a thread that ends at once.
pub fn is_possible() -> bool {
    let tried = std::thread::spawn(|| restrict(&[]));
    matches!(tried.join(), Ok(Ok(status)) if status != RulesetStatus::NotEnforced)
}

/// The folders that may be written to, none of them twice.
fn writable(wanted: &Confinement, init: &InitConfig, spool: &SpoolPaths) -> Vec<PathBuf> {
    let logs = log_folders(init).map(Path::to_path_buf);
    let customary = CUSTOMARY.into_iter().map(PathBuf::from);
    let mut all = vec![spool.data.clone(), spool.meta.clone()];
    all.extend(logs.chain(wanted.may_write.iter().cloned()).chain(customary));
    all.push(std::env::temp_dir());
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in all.iter().filter_map(|path| path.canonicalize().ok()) {
        if !folders.contains(&path) {
            folders.push(path);
        }
    }
    folders
}

/// The folders of log files, and of the database of volumes.
pub fn log_folders(init: &InitConfig) -> impl Iterator<Item = &Path> {
    let accounting = init.accounting_log.iter().map(|log| log.log_dir.as_path());
    let local = init.local_logs.iter().flat_map(|log| {
        let special = log.per_record.values().filter_map(|record| record.log_dir.as_deref());
        special.chain([log.log_dir.as_path()])
    });
    let volumes = init.volumes_db.iter().filter_map(|path| path.parent());
    let volumes = volumes.filter(|folder| !folder.as_os_str().is_empty());
    local.chain(accounting).chain(volumes)
}

fn restrict(folders: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    // What is done to devices by ioctl is left to their permissions.
    let writing = AccessFs::from_write(ABI::V3);
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing | AccessFs::Execute)?
        .create()?
        .add_rules(path_beneath_rules(folders, writing))?;
    let devices = make_bitflags!(AccessFs::{WriteFile | Truncate});
    Ok(created.add_rules(path_beneath_rules(DEVICES, devices))?.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confined_thread_writes_below_its_folders_only() {
        let top = tempfile::tempdir().unwrap();
        let (inside, outside) = (top.path().join("in"), top.path().join("out"));
        for folder in [&inside, &outside] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("old"), "old").unwrap();
        }
        let confined = std::thread::spawn(move || {
            if restrict(std::slice::from_ref(&inside)).unwrap() == RulesetStatus::NotEnforced {
                return println!("skipped: this kernel has no Landlock");
            }
            std::fs::write(inside.join("new"), "x").unwrap();
            std::fs::rename(inside.join("new"), inside.join("newer")).unwrap();
            std::fs::write("/dev/null", "x").unwrap();
            assert_eq!(std::fs::read(outside.join("old")).unwrap(), b"old");
            let refused = [
                std::fs::write(outside.join("new"), "x"),
                std::fs::write(outside.join("old"), "x"),
                std::fs::create_dir(outside.join("d")),
                std::fs::remove_file(outside.join("old")),
                std::process::Command::new("true").status().map(drop),
            ];
            for outcome in refused {
                assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
            }
        });
        confined.join().unwrap();
    }
}

//! A damaged spool: what is undamaged is there, nothing is made up, and each damage is told; and the
//! inspector, which says so without an engine.
//!
//! `RINGMTA_DAMAGE_SEEDS` names how many seeds are run, 300 unless it does.

use crate::support::{message, wait, Sink, Site};
use ringmta_spool::inspect;
use ringmta_spool::inspect::Inspected;
use ringmta_spool::log::record;
use ringmta_spool::start::damage::Damage;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

const BLOCK: usize = 4096;
const STRANGER: &str = "of another partition";
const PARTITIONS: [&str; 2] = ["0", "1"];

/// A message of the template.
struct Known {
    file: PathBuf,
    at: usize,
    end: usize,
    bytes: Vec<u8>,
}

/// A spool an engine has left behind: some mail delivered, some tried and waiting.
struct Template {
    files: Vec<(PathBuf, Vec<u8>)>,
    waiting: BTreeMap<String, Known>,
    /// Every id that was ever acknowledged.
    ever: BTreeSet<String>,
}

impl Template {
    fn bytes_of(&self, file: &Path) -> &[u8] {
        &self.files.iter().find(|(path, _)| path == file).unwrap().1
    }
}

fn refusing_site() -> (Sink, Site) {
    let sink = Sink::start();
    sink.refuse("u", "450 4.2.1 later");
    let mut site = Site::to(sink.addr);
    site.queue = "retry_interval = '1 hour', max_age = '1 day',".into();
    (sink, site)
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(make_template)
}

fn make_template() -> Template {
    let (sink, site) = refusing_site();
    let engine = site.start(2);
    let mut ever = BTreeSet::new();
    for n in 0..60 {
        let to = format!("{}{n}@dst.test", if n % 3 == 0 { "taken" } else { "u" });
        let body = [message(&format!("m{n}")), b"line\r\n".repeat(n * 40)].concat();
        ever.extend(engine.accept("a@src.test", &[&to], &body));
    }
    sink.wait_messages(20);
    wait("an attempt of each", || site.records_of("TransientFailure").len() >= 40);
    assert!(engine.terminate().success());
    let spool = site.dir().join("spool");
    let mut files = Vec::new();
    for kind in ["data", "meta"] {
        for partition in PARTITIONS {
            for entry in std::fs::read_dir(spool.join(kind).join(partition)).unwrap() {
                let path = entry.unwrap().path();
                let mut bytes = std::fs::read(&path).unwrap();
                // What was preallocated and never written is of no interest, and large.
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at / BLOCK + 1);
                bytes.truncate(used * BLOCK);
                files.push((path.strip_prefix(&spool).unwrap().to_path_buf(), bytes));
            }
        }
    }
    let found = inspect::spool(&spool.join("data"), &spool.join("meta")).unwrap();
    assert!(found.iter().all(|one| one.report.damage.is_empty()), "{found:?}");
    assert!(found.iter().all(|one| !one.waiting.is_empty()), "all mail in one partition");
    let mut waiting = BTreeMap::new();
    for one in found.iter().flat_map(|partition| &partition.waiting) {
        let bytes = inspect::record(one).unwrap();
        let at = one.at.offset as usize;
        let file = one.path.strip_prefix(&spool).unwrap().to_path_buf();
        let known = Known { file, at, end: at + bytes.len(), bytes };
        waiting.insert(one.id.to_string(), known);
    }
    assert_eq!((waiting.len(), ever.len()), (40, 60));
    Template { files, waiting, ever }
}

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit.max(1) as u64) as usize
    }
}

/// A damaged copy of the template, and what that must mean.
struct Case {
    dir: TempDir,
    lost: BTreeSet<String>,
    /// Files of which damage must be told, and what was done to them.
    told: Vec<(PathBuf, String)>,
    story: Vec<String>,
}

fn copy_of_template() -> TempDir {
    let dir = TempDir::with_prefix_in("damage-", env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (path, bytes) in &template().files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

impl Case {
    fn new(seed: u64) -> Case {
        let (lost, told, story) = Default::default();
        let mut case = Case { dir: copy_of_template(), lost, told, story };
        let mut dice = Dice(seed);
        for _ in 0..=dice.below(3) {
            case.hurt(&mut dice);
        }
        case
    }

    fn file(&self, kind: &str, dice: &mut Dice) -> Option<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for partition in PARTITIONS {
            let base = Path::new(kind).join(partition);
            let entries = std::fs::read_dir(self.dir.path().join(&base)).unwrap();
            files.extend(entries.map(|entry| base.join(entry.unwrap().file_name())));
        }
        // A file is hurt once, so that what follows from it stays plain.
        files.retain(|file| {
            let known =
                template().files.iter().any(|(path, bytes)| path == file && !bytes.is_empty());
            known && !self.story.iter().any(|told| told.contains(&file.display().to_string()))
        });
        files.sort();
        let index = dice.below(files.len());
        files.get(index).cloned()
    }

    fn note(&mut self, file: &Path, what: &str, told: bool) {
        self.story.push(format!("{}: {what}", file.display()));
        if told {
            self.told.push((file.to_path_buf(), what.to_string()));
        }
    }

    fn change(&self, file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.dir.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    /// Messages with a byte in this part of a file are lost.
    fn lose(&mut self, file: &Path, from: usize, to: usize) -> bool {
        let hit = |known: &Known| known.file == file && known.at < to && known.end > from;
        let waiting = template().waiting.iter();
        let lost: Vec<String> =
            waiting.filter(|(_, known)| hit(known)).map(|(id, _)| id.clone()).collect();
        self.lost.extend(lost.iter().cloned());
        !lost.is_empty()
    }

    fn hurt(&mut self, dice: &mut Dice) {
        let kind = if dice.below(3) == 0 { "meta" } else { "data" };
        let Some(file) = self.file(kind, dice) else { return };
        let len = std::fs::metadata(self.dir.path().join(&file)).unwrap().len() as usize;
        match dice.below(8) {
            0 | 1 => {
                let at = dice.below(len);
                let bit = dice.below(8);
                self.change(&file, |bytes| bytes[at] ^= 1 << bit);
                let header = at < 28;
                let told = self.lose(&file, at, at + 1) || header;
                self.note(&file, &format!("bit {bit} of byte {at} flipped"), told);
            }
            2 => {
                let at = dice.below(28);
                self.change(&file, |bytes| bytes[at] ^= 0x40);
                self.note(&file, &format!("header byte {at} changed"), true);
            }
            3 => {
                let at = dice.below(len);
                let at = if dice.below(2) == 0 { at } else { at / BLOCK * BLOCK };
                self.change(&file, |bytes| bytes.truncate(at));
                let lost = self.lose(&file, at, len);
                // Between two blocks only the journal knows that there was more; see the test of that.
                let told = lost && at % BLOCK != 0;
                self.note(&file, &format!("cut at {at} of {len}"), told);
            }
            4 => {
                std::fs::remove_file(self.dir.path().join(&file)).unwrap();
                self.lose(&file, 0, len);
                self.note(&file, "removed", false);
            }
            5 => {
                let name = if kind == "data" { "segment-00000077.dat" } else { "journal-77.log" };
                let from = self.dir.path().join(&file);
                std::fs::copy(&from, from.with_file_name(name)).unwrap();
                self.note(&file, "copied beside itself", false);
            }
            6 => {
                let other = if file.iter().nth(1) == Some("0".as_ref()) { "1" } else { "0" };
                let name = if kind == "data" { "segment-00000088.dat" } else { "journal-88.log" };
                let to = Path::new(kind).join(other).join(name);
                let (from, target) = (self.dir.path().join(&file), self.dir.path().join(&to));
                std::fs::copy(from, target).unwrap();
                self.note(&file, "copied into the other partition", false);
                self.told.push((to, STRANGER.into()));
            }
            _ => {
                let version = [1u32, 3, 9][dice.below(3)];
                self.change(&file, |bytes| {
                    bytes[4..8].copy_from_slice(&version.to_le_bytes());
                    let crc = crc32c::crc32c(&bytes[..24]);
                    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
                });
                self.lose(&file, 0, len);
                self.note(&file, &format!("made version {version}"), true);
            }
        }
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.dir.path().join(kind)
    }

    /// Checks what a reading found against the template.
    fn judge(&self, found: &[Inspected]) -> Result<(), String> {
        let template = template();
        let mut ids = BTreeSet::new();
        for one in found.iter().flat_map(|partition| &partition.waiting) {
            let id = one.id.to_string();
            if !template.ever.contains(&id) {
                return Err(format!("message {id} is made up"));
            }
            let bytes = inspect::record(one).map_err(|error| error.to_string())?;
            let stored = record::parse(&bytes)?;
            if let Some(known) = template.waiting.get(&id) {
                let original = record::parse(&known.bytes)?;
                if stored.body != original.body || stored.recipients != original.recipients {
                    return Err(format!("message {id} is not what was stored"));
                }
            }
            ids.insert(id);
        }
        let missing =
            template.waiting.keys().find(|id| !ids.contains(*id) && !self.lost.contains(*id));
        if let Some(id) = missing {
            return Err(format!("undamaged message {id} is lost"));
        }
        let damage: Vec<_> = found.iter().flat_map(|partition| &partition.report.damage).collect();
        let mut places = BTreeSet::new();
        for one in &damage {
            if !places.insert((&one.path, one.offset)) {
                return Err(format!("told twice: {one}"));
            }
        }
        for (file, what) in &self.told {
            let file_path = self.dir.path().join(file);
            // Where a partition has one file of its own and one of another, nothing says which is which:
            // either may be called the stranger.
            let partition = |path: &Path| path.iter().nth_back(1).map(OsStr::to_owned);
            let stranger = |one: &Damage| {
                what == STRANGER
                    && partition(&one.path) == partition(&file_path)
                    && one.what.contains("another partition")
            };
            if !damage.iter().any(|one| one.path == file_path || stranger(one)) {
                return Err(format!("not told of {}: {what}", file.display()));
            }
        }
        Ok(())
    }
}

fn seeds() -> u64 {
    std::env::var("RINGMTA_DAMAGE_SEEDS").map_or(300, |count| count.parse().unwrap())
}

#[test]
fn any_damage_costs_only_what_it_hits() {
    for seed in 0..seeds() {
        let case = Case::new(seed);
        let found = inspect::spool(&case.path("data"), &case.path("meta")).unwrap();
        if let Err(what) = case.judge(&found) {
            let damage: Vec<_> = found.iter().flat_map(|one| &one.report.damage).collect();
            panic!("seed {seed}: {what}\ndone to it: {:#?}\ntold: {damage:#?}", case.story);
        }
    }
}

#[test]
fn a_segment_cut_between_two_blocks_is_told_from_the_journal() {
    for known in template().waiting.values() {
        let (lost, told, story) = Default::default();
        let mut case = Case { dir: copy_of_template(), lost, told, story };
        let (at, len) = (known.at / BLOCK * BLOCK, template().bytes_of(&known.file).len());
        case.change(&known.file, |bytes| bytes.truncate(at));
        case.lose(&known.file, at, len);
        case.note(&known.file, &format!("cut at {at}"), true);
        let found = inspect::spool(&case.path("data"), &case.path("meta")).unwrap();
        case.judge(&found).unwrap();
    }
}

#[test]
fn an_engine_starts_on_a_damaged_spool_and_delivers_what_is_whole() {
    for seed in 0..seeds().div_ceil(30) {
        let case = Case::new(seed);
        let (sink, site) = refusing_site();
        // What waits was tried, and is due in an hour; what is tried again because its journal is lost
        // goes on waiting, too.
        sink.refuse("taken", "450 4.2.1 later");
        let spool = site.dir().join("spool");
        std::fs::create_dir_all(&spool).unwrap();
        for kind in ["data", "meta"] {
            std::fs::rename(case.path(kind), spool.join(kind)).unwrap();
        }
        let engine = site.start(2);
        let lost = |id: &String| case.lost.contains(id);
        for id in template().waiting.keys().filter(|id| !lost(id)) {
            wait(&format!("seed {seed}: {id} of {:#?}", case.story), || is_there(&engine, id));
        }
        let told = |file: &Path| {
            engine
                .stderr()
                .into_iter()
                .filter(|line| {
                    line.contains("spool:")
                        && line.contains(&spool.join(file).display().to_string())
                })
                .count()
        };
        for (file, what) in &case.told {
            assert!(told(file) > 0, "seed {seed}: not told of {}: {what}", file.display());
        }
        engine.accept("a@src.test", &["new@dst.test"], &message("new"));
        wait("new mail", || sink.messages().iter().any(|m| m.to == ["new@dst.test"]));
        // And once more, with what the first has made of it.
        engine.kill();
        let engine = site.start(1);
        for id in template().waiting.keys().filter(|id| !lost(id)) {
            wait(&format!("seed {seed}: {id} of {:#?}", case.story), || is_there(&engine, id));
        }
    }
}

/// Whether the message waits; one that is on a connection does so again in a moment.
fn is_there(engine: &crate::support::Engine, id: &str) -> bool {
    engine.get(&format!("/api/admin/inspect-message/v1?id={id}")).status == 200
}

fn spool_command(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(["spool", "--policy"]).arg(site.policy_file()).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_inspector_counts_shows_and_exports() {
    let (_sink, site) = refusing_site();
    let engine = site.start(1);
    let body = message("inspect");
    let id = engine.accept("a@src.test", &["u1@dst.test"], &body).remove(0);
    let other = engine.accept("", &["u2@other.test"], &message("other")).remove(0);
    wait("an attempt of each", || site.records_of("TransientFailure").len() == 2);
    let running = spool_command(&site, &["check"]);
    assert!(text(&running.stderr).contains("an engine runs on this spool"), "{running:?}");
    assert!(engine.terminate().success());

    let checked = spool_command(&site, &["check", "--json"]);
    assert_eq!((checked.status.code(), text(&checked.stderr).as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((&report["clean"], &report["partitions"][0]["waiting"]), (&true.into(), &2.into()));

    let shown = text(&spool_command(&site, &["show", &id]).stdout);
    for part in ["sender: a@src.test", "u1@dst.test", "attempts: 1", "Subject: inspect"] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let nothing = spool_command(&site, &["show", &"0".repeat(32)]);
    assert_eq!(nothing.status.code(), Some(1));

    let dir = site.dir().join("out");
    let out = dir.to_str().unwrap();
    let exported =
        spool_command(&site, &["export", "--all", "--queue", "other.test", "--dir", out]);
    assert_eq!(text(&exported.stdout), format!("1 messages exported to {out}\n"));
    assert!(dir.join(format!("{other}.eml")).is_file());
    assert!(!dir.join(format!("{id}.eml")).exists());
    assert_eq!(spool_command(&site, &["export", &id, "--dir", out]).status.code(), Some(0));
    let eml = std::fs::read(dir.join(format!("{id}.eml"))).unwrap();
    assert_eq!(crate::support::without_trace(&eml), body);
    let facts = std::fs::read(dir.join(format!("{id}.json"))).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&facts).unwrap();
    assert_eq!((&facts["queue"], &facts["attempts"]), (&"dst.test".into(), &1.into()));
    let again = spool_command(&site, &["export", &id, "--dir", out]);
    assert_eq!(again.status.code(), Some(2), "overwritten: {again:?}");
}

#[test]
fn the_inspector_names_damage_and_what_it_cannot_read() {
    let (_sink, site) = refusing_site();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u1@dst.test"], &message("damage"));
    assert!(engine.terminate().success());
    let file = site.dir().join("spool/data/0/segment-00000001.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[BLOCK + 100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let checked = spool_command(&site, &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let line = format!("damage: {} offset {BLOCK}: torn or damaged record", file.display());
    assert!(text(&checked.stdout).contains(&line), "{checked:?}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "the inspector has written");
    let nowhere = site.dir().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let checked = spool_command(&site, &["check", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    let missing = command.args(["spool", "--data", nowhere, "--meta", nowhere, "check"]).output();
    assert_eq!(missing.unwrap().status.code(), Some(2));
}

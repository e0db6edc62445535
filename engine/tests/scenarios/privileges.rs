//! Whom the engine runs as, from its first moment on, and the one right it keeps until its ports are bound.

use crate::support::{is_root, message, program, Engine, Sink, Site};
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A site of the user nobody, which an engine started as root becomes.
fn of_nobody() -> Option<Site> {
    if !is_root() {
        println!("skipped: only root can give up root");
        return None;
    }
    let mut site = Site::for_everyone();
    site.args.extend(["--user".into(), "nobody".into()]);
    Some(site)
}

/// A port that only a privileged program may bind, and nobody has.
fn low_port() -> u16 {
    // Tests that run beside each other get different ones.
    static NEXT: AtomicU16 = AtomicU16::new(1023);
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports = std::iter::from_fn(|| Some(NEXT.fetch_sub(1, Ordering::SeqCst)));
    ports.take_while(|port| *port > 600).find(free).expect("a free low port")
}

/// The rights of every thread, as the kernel shows them; kernel workers have those of whoever gives them work.
fn rights(engine: &Engine) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", engine.pid())).unwrap().flatten();
    let mut all = Vec::new();
    for task in tasks {
        let Ok(text) = std::fs::read_to_string(task.path().join("status")) else { continue };
        if text.starts_with("Name:\tiou-") {
            continue;
        }
        let is_one = |line: &&str| ["CapPrm", "CapEff", "CapInh", "CapAmb"].contains(&&line[..6]);
        all.extend(text.lines().filter(|line| line.len() > 6).filter(is_one).map(String::from));
    }
    assert!(!all.is_empty());
    all
}

fn assert_no_rights(engine: &Engine) {
    let left: Vec<_> =
        rights(engine).into_iter().filter(|line| !line.ends_with("0000000000000000")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn low_ports_are_bound_on_every_shard_and_the_right_goes() {
    let Some(mut site) = of_nobody() else { return };
    let sink = Sink::start();
    site.default_route = Some(sink.addr);
    site.listener = format!("listen = '127.0.0.1:{}',", low_port());
    site.http = format!("listen = '127.0.0.1:{}',", low_port());
    // What the policy sees as it is read, and in init: an ordinary user's rights.
    site.extra = "
      local function rights(where)
        for line in io.lines('/proc/thread-self/status') do
          local name, value = line:match('^(%w+):%s*(%S+)')
          if name == 'Uid' or name == 'CapPrm' or name == 'CapEff' then
            kumo.log_info(where .. ' ' .. name .. '=' .. value)
          end
        end
      end
      rights('top')
      kumo.on('pre_init', function() rights('init') end)"
        .into();
    let engine = site.start(3);
    assert_no_rights(&engine);
    engine.accept("a@src.test", &["u@dst.test"], &message("low"));
    sink.wait_messages(1);
    let said = engine.stderr().join("\n");
    let nobody = Command::new("id").args(["-u", "nobody"]).output().unwrap().stdout;
    let nobody = String::from_utf8(nobody).unwrap();
    for place in ["top", "init"] {
        assert!(said.contains(&format!("{place} Uid={}", nobody.trim())), "{said}");
        assert!(said.contains(&format!("{place} CapEff=0000000000000000")), "{said}");
        assert!(said.contains(&format!("{place} CapPrm=0000000000000000")), "{said}");
    }
    assert!(engine.terminate().success());
}

#[test]
fn an_ordinary_user_with_that_right_alone_lets_it_go_as_well() {
    let Some(mut site) = of_nobody() else { return };
    let Some(setpriv) = program("setpriv") else { return };
    site.args.truncate(1);
    site.listener = format!("listen = '127.0.0.1:{}',", low_port());
    // That user must be able to run it, wherever it was built.
    let binary = site.dir().join("ringmta");
    // Written by another process: a file that this one has open for writing while another test starts a program is busy
    // in that program until it is executed, and cannot be executed itself.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_ringmta")).arg(&binary).status();
    assert!(copied.unwrap().success());
    site.write_policy();
    let mut command = Command::new(setpriv);
    command
        .args(["--reuid=nobody", "--regid=65534", "--clear-groups"])
        .args(["--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service"])
        .arg(&binary)
        .args(["run", "--shards", "2", "--auth-in-clear", "--policy"])
        .arg(site.policy_file())
        .env_remove("KUMOD_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut engine = Engine::spawn(command);
    engine.wait_until_up();
    assert_no_rights(&engine);
    engine.greeted();
}

#[test]
fn links_that_the_user_planted_lead_root_nowhere() {
    let Some(site) = of_nobody() else { return };
    let private = tempfile::tempdir().unwrap();
    std::fs::set_permissions(private.path(), PermissionsExt::from_mode(0o700)).unwrap();
    for name in [".probe", "lock", "node-id"] {
        let victim = private.path().join(name);
        std::fs::write(&victim, "root's own").unwrap();
        let meta = site.dir().join("spool/meta");
        let _ = std::fs::remove_dir_all(site.dir().join("spool"));
        std::fs::create_dir_all(&meta).unwrap();
        symlink(&victim, meta.join(name)).unwrap();
        for folder in ["spool", "spool/meta"] {
            std::os::unix::fs::chown(site.dir().join(folder), Some(65534), Some(65534)).unwrap();
        }
        site.write_policy();
        let mut engine = site.spawn(1);
        assert!(!engine.wait_exit().success(), "{name}: {:?}", engine.stderr());
        assert_eq!(std::fs::read(&victim).unwrap(), b"root's own", "{name}");
        assert_eq!(std::fs::metadata(&victim).unwrap().uid(), 0, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_the_users_is_named_with_the_cure() {
    let Some(site) = of_nobody() else { return };
    let refused = |site: &Site, told: &str| {
        site.write_policy();
        let mut engine = site.spawn(1);
        assert!(!engine.wait_exit().success());
        let said = engine.stderr().join("\n");
        assert!(said.contains("user nobody") && said.contains(told), "{said}");
    };
    std::fs::create_dir_all(site.dir().join("spool")).unwrap();
    refused(&site, "install -d -o nobody");
    std::fs::create_dir_all(site.dir().join("spool/data")).unwrap();
    refused(&site, "chown -R nobody");
    assert_eq!(std::fs::metadata(site.dir().join("spool/data")).unwrap().uid(), 0);
}

#[test]
fn neither_spool_folder_is_shared_by_two_engines() {
    let site = Site::new();
    let _first = site.start(1);
    let other = Site::new();
    other.write_policy();
    let text = std::fs::read_to_string(other.policy_file()).unwrap();
    let own = format!("path = '{}/spool/' .. name", other.dir().display());
    let shared = format!(
        "path = name == 'meta' and '{}/spool/meta' or '{}/spool/data'",
        site.dir().display(),
        other.dir().display()
    );
    assert!(text.contains(&own));
    let text = text.replace(&own, &shared);
    std::fs::write(other.policy_file(), text).unwrap();
    let mut second = other.spawn(1);
    assert!(!second.wait_exit().success());
    assert!(second.says("meta is in use by another ringmta"), "{:?}", second.stderr());
    assert_modes(&site.dir().join("spool"));
}

/// Nothing below `folder` is for strangers.
fn assert_modes(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o007, 0, "{}: {mode:o}", entry.path().display());
        if entry.path().is_dir() {
            assert_modes(&entry.path());
        }
    }
}

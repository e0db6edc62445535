//! Real servers for tests, as `ci/peers.sh` installs them.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server from a package, on a free port; ends with the value.
pub(crate) struct Peer {
    child: Child,
    /// Where it listens, on loopback.
    pub port: u16,
    /// Port of the name service that came with it.
    names: Option<u16>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Scripts have children: the whole group that was started ends.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        if let Some(port) = self.names {
            let port = port.to_string();
            let quiet = Command::new("epmd").args(["-port", &port, "-kill"]).output();
            drop(quiet);
        }
    }
}

/// Starts a program that listens on the port given to it; `None`, said on stderr, when it is not installed.
pub(crate) fn peer(programs: &[&str], args: impl Fn(u16) -> Vec<String>) -> Option<Peer> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for program in programs {
        let started = Command::new(program)
            .args(args(port))
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else { continue };
        let mut peer = Peer { child, port, names: None };
        let until = Instant::now() + Duration::from_secs(180);
        while Instant::now() < until {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(peer);
            }
            assert!(peer.child.try_wait().unwrap().is_none(), "{program} ended at once");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{program} does not listen");
    }
    eprintln!("skipped: {} is not installed (ci/peers.sh installs it)", programs[0]);
    None
}

pub(crate) fn redis_server(dir: &Path) -> Option<Peer> {
    let dir = dir.display().to_string();
    peer(&["redis-server"], |port| {
        let port = port.to_string();
        ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &dir]
            .map(str::to_owned)
            .to_vec()
    })
}

pub(crate) fn nats_server(dir: &Path) -> Option<Peer> {
    let dir = dir.display().to_string();
    peer(&["nats-server", "/usr/sbin/nats-server"], |port| {
        let port = port.to_string();
        ["-a", "127.0.0.1", "-p", &port, "-js", "-sd", &dir].map(str::to_owned).to_vec()
    })
}

/// A RabbitMQ of its own: its node name and files are made of the port.
pub(crate) fn rabbitmq_server(dir: &Path) -> Option<Peer> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dist = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let names = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(dir.join("rabbitmq.log")).unwrap();
    let conf = dir.join("rabbitmq.conf");
    std::fs::write(&conf, "").unwrap();
    let program = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if !program.exists() {
        eprintln!("skipped: rabbitmq-server is not installed (ci/peers.sh installs it)");
        return None;
    }
    let child = Command::new(program)
        .env("RABBITMQ_NODENAME", format!("ringmta{port}@localhost"))
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", dist.to_string())
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", dir.join("log"))
        .env("RABBITMQ_CONFIG_FILE", conf)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
        .env("ERL_EPMD_PORT", names.to_string())
        .env("ERL_EPMD_RELAXED_COMMAND_CHECK", "1")
        .env("HOME", dir)
        .current_dir(dir)
        .process_group(0)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .ok()?;
    let mut peer = Peer { child, port, names: Some(names) };
    let until = Instant::now() + Duration::from_secs(180);
    while Instant::now() < until && peer.child.try_wait().unwrap().is_none() {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(peer);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // A sandbox may not be to its liking; that says nothing of our client.
    let said = std::fs::read_to_string(dir.join("rabbitmq.log")).unwrap();
    eprintln!("skipped: rabbitmq-server does not start here: {said}");
    None
}

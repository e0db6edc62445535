//! An inbox as a process of its own, as people start it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// The program, without the variables of whoever runs the tests.
pub fn ringmta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MP_"));
    ours.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

/// An inbox of its own process; it ends with this.
pub struct Inbox {
    pub process: Child,
    pub smtp: SocketAddr,
    pub web: SocketAddr,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts one on free ports.
pub fn inbox(arguments: &[&str]) -> Inbox {
    start(ringmta(), arguments)
}

/// The same, with the variables of this command.
pub fn start(mut command: Command, arguments: &[&str]) -> Inbox {
    command.args(["sandbox", "-s", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).args(arguments);
    let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut address = |what: &str| {
        let line = lines.find(|line| line.as_ref().unwrap().contains(what)).unwrap().unwrap();
        let text = line.rsplit([' ', '/']).find(|part| !part.is_empty()).unwrap();
        text.trim_end_matches('/').parse().unwrap()
    };
    let (smtp, web) = (address("smtp listener"), address("inbox on"));
    std::thread::spawn(move || lines.for_each(drop));
    Inbox { process, smtp, web }
}

/// A program that ends with the test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

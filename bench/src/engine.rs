//! How each engine is started and stopped. Every start has a fresh directory.

use crate::cell::Cell;
use crate::limits::{LOOK, START, STOP};
use crate::{postfix, proc, webhook};
use anyhow::{bail, Context, Result};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// An engine to be measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Engine {
    /// Ours; relaxed answers before the disk does.
    Ringmta {
        /// Without waiting for stable storage.
        relaxed: bool,
    },
    /// Debian's.
    Postfix,
    /// Any other: a shell command with `{smtp}`, `{sink}` and `{dir}` to be filled in. It runs in
    /// the foreground and relays everything to the sink.
    Other {
        /// What it is called in the report.
        name: String,
        /// The command.
        command: String,
    },
}

impl Engine {
    /// Reads `durable`, `relaxed`, `postfix` or `NAME=COMMAND`.
    ///
    /// # Errors
    /// For anything else.
    pub fn parse(text: &str) -> Result<Engine, String> {
        match text.split_once('=') {
            None if text == "durable" => Ok(Engine::Ringmta { relaxed: false }),
            None if text == "relaxed" => Ok(Engine::Ringmta { relaxed: true }),
            None if text == "postfix" => Ok(Engine::Postfix),
            Some((name, command)) if !name.is_empty() && !command.is_empty() => {
                Ok(Engine::Other { name: name.into(), command: command.into() })
            }
            _ => Err("expected durable, relaxed, postfix or NAME=COMMAND".into()),
        }
    }

    /// What it is called in the report.
    pub fn name(&self) -> &str {
        match self {
            Engine::Ringmta { relaxed: false } => "ringmta",
            Engine::Ringmta { relaxed: true } => "ringmta relaxed",
            Engine::Postfix => "postfix",
            Engine::Other { name, .. } => name,
        }
    }

    /// Whether it can do what the cell asks for.
    pub fn can(&self, cell: &Cell) -> bool {
        matches!(self, Engine::Ringmta { .. }) || (!cell.dkim && !cell.webhook && cell.shards == 2)
    }
}

/// Where the programs and the policy are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Folder of ringmta and loadgen.
    pub bin: PathBuf,
    /// Policy tree of ringmta.
    pub policy: PathBuf,
}

/// An engine that runs.
pub struct Running {
    child: Option<Child>,
    postfix: Option<PathBuf>,
    /// First process of its tree.
    pub pid: u32,
    /// Where it takes mail.
    pub smtp: SocketAddr,
    /// Where its metrics are, when it has any.
    pub http: Option<SocketAddr>,
}

/// A port of loopback that nobody uses now.
///
/// # Errors
/// As bind(2).
pub fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Running {
    /// Starts `engine` in `dir`, relaying to `sink`.
    ///
    /// # Errors
    /// When it does not take connections in time; the text holds the end of its output.
    pub fn start(
        engine: &Engine,
        programs: &Programs,
        cell: &Cell,
        dir: &Path,
        sink: SocketAddr,
    ) -> Result<Running> {
        let smtp = free_addr()?;
        let mut running = match engine {
            Engine::Ringmta { relaxed } => ringmta(programs, cell, dir, smtp, sink, *relaxed)?,
            Engine::Postfix => {
                let port = sink.port().to_string();
                let pid = postfix::start(dir, &smtp.to_string(), &port, cell.connections)?;
                Running { child: None, postfix: Some(dir.into()), pid, smtp, http: None }
            }
            Engine::Other { command, .. } => other(command, dir, smtp, sink)?,
        };
        running.wait(dir)?;
        Ok(running)
    }

    fn wait(&mut self, dir: &Path) -> Result<()> {
        let end = Instant::now() + START;
        while TcpStream::connect(self.smtp).is_err() {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => false,
            };
            if ended || Instant::now() > end {
                bail!("the engine takes no mail on {}:\n{}", self.smtp, tail(&dir.join("out")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// One metric, when the engine has it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics?prefix={name}", self.http?);
        let output = Command::new("curl").args(["-s", "-m", "5", &url]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(dir) = &self.postfix {
            if let Err(error) = postfix::stop(dir) {
                eprintln!("postfix may still run: {error}");
            }
        }
        let Some(child) = &mut self.child else { return };
        // A shell does not hand the signal on to what it runs.
        let tree = proc::tree(child.id());
        let _ = Command::new("kill").args(tree.iter().map(ToString::to_string)).status();
        let end = Instant::now() + STOP;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The last lines of a file, for an error message.
fn tail(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn output(dir: &Path) -> Result<(Stdio, Stdio)> {
    let file = File::create(dir.join("out"))?;
    Ok((file.try_clone()?.into(), file.into()))
}

fn ringmta(
    programs: &Programs,
    cell: &Cell,
    dir: &Path,
    smtp: SocketAddr,
    sink: SocketAddr,
    relaxed: bool,
) -> Result<Running> {
    let http = free_addr()?;
    let (out, err) = output(dir)?;
    fs::create_dir_all(dir.join("spool"))?;
    let mut command = Command::new(programs.bin.join("ringmta"));
    command.arg("run").arg("--policy").arg(&programs.policy);
    command.args(["--shards", &cell.shards.to_string()]);
    if relaxed {
        command.arg("--relaxed");
    }
    let (webhook, batch) = match (&cell.receiver, cell.webhook) {
        (Some((url, batch)), _) => (url.clone(), *batch),
        (None, true) => (format!("http://{}", webhook::start()?), 100),
        (None, false) => (String::new(), 100),
    };
    command
        // The smallest policy, relay.lua, has names of its own.
        .env("BENCH_DIR", dir.join("spool"))
        .env("BENCH_SMTP", smtp.to_string())
        .env("BENCH_HTTP", http.to_string())
        .env("BENCH_SINK", sink.to_string())
        .env("RINGMTA_ALLOW_ROOT", "1")
        .env("RINGMTA_MODE", "development")
        .env("RINGMTA_SPOOL", dir.join("spool"))
        .env("RINGMTA_LOG_DIR", dir.join("log"))
        .env("RINGMTA_SMTP_LISTEN", smtp.to_string())
        .env("RINGMTA_HTTP_LISTEN", http.to_string())
        .env("RINGMTA_SANDBOX", sink.to_string())
        .env("KUMOMTA_WEBHOOK_URL", webhook)
        .env("KUMOMTA_WEBHOOK_BATCH", batch.to_string());
    if cell.dkim {
        let key = dir.join("dkim.pem");
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output();
        if !made.context("cannot run openssl, which makes the DKIM key")?.status.success() {
            bail!("openssl genrsa failed");
        }
        command.env("RINGMTA_DKIM_KEY", key);
    }
    if cell.tempfail == 100 {
        // Everything is refused, and is to wait.
        command.env("BENCH_RETRY", "12h");
    }
    let child = command.stdout(out).stderr(err).spawn().context("cannot run ringmta")?;
    let pid = child.id();
    Ok(Running { child: Some(child), postfix: None, pid, smtp, http: Some(http) })
}

fn other(command: &str, dir: &Path, smtp: SocketAddr, sink: SocketAddr) -> Result<Running> {
    let (out, err) = output(dir)?;
    let command = command
        .replace("{smtp}", &smtp.to_string())
        .replace("{sink}", &sink.to_string())
        .replace("{dir}", &dir.display().to_string());
    let child = Command::new("sh").arg("-c").arg(&command).stdout(out).stderr(err).spawn()?;
    let pid = child.id();
    Ok(Running { child: Some(child), postfix: None, pid, smtp, http: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Engine::parse("durable"), Ok(Engine::Ringmta { relaxed: false }));
        assert_eq!(Engine::parse("x=y {smtp}").unwrap().name(), "x");
        for wrong in ["", "exim", "=y", "x="] {
            assert!(Engine::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_engine_is_given_its_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let smtp = free_addr().unwrap();
        let sink = free_addr().unwrap();
        let command = "echo {smtp} {sink} > {dir}/said; exit 3";
        let mut running = other(command, dir.path(), smtp, sink).unwrap();
        assert!(running.wait(dir.path()).is_err());
        let said = fs::read_to_string(dir.path().join("said")).unwrap();
        assert_eq!(said, format!("{smtp} {sink}\n"));
    }
}

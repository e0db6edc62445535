//! Where engines deliver to, and how many messages have arrived there.

use crate::cell::{self, Cell};
use crate::child::{of_system, Guard};
use crate::engine::Programs;
use crate::limits::{COUNT_BYTES, LOOK, SMTP_SINK_BACKLOG, STOP};
use anyhow::{bail, Context, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Instant;

/// A sink that runs.
pub struct Sink {
    _process: Guard,
    count: Count,
}

/// What knows how many messages came.
enum Count {
    /// A ledger: a line for each.
    Ledger { file: PathBuf, at: u64, lines: u64 },
    /// What smtp-sink last said.
    Said(Arc<AtomicU64>),
}

impl Sink {
    /// Starts the sink of `cell`; a loadgen sink writes its ledger to `got`.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(programs: &Programs, cell: &Cell, addr: SocketAddr, got: &Path) -> Result<Sink> {
        let sink = match cell.sink {
            cell::Sink::Loadgen => loadgen(programs, cell, addr, got)?,
            cell::Sink::SmtpSink => smtp_sink(addr)?,
        };
        let end = Instant::now() + STOP;
        while TcpStream::connect(addr).is_err() {
            if Instant::now() > end {
                bail!("the sink does not listen on {addr}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(sink)
    }

    /// Messages taken so far.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn taken(&mut self) -> Result<u64> {
        match &mut self.count {
            Count::Said(said) => Ok(said.load(Ordering::Relaxed)),
            Count::Ledger { file, at, lines } => {
                let Ok(mut file) = File::open(file) else { return Ok(0) };
                file.seek(SeekFrom::Start(*at))?;
                let mut bytes = Vec::new();
                *at += file.read_to_end(&mut bytes)? as u64;
                *lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                Ok(*lines)
            }
        }
    }
}

fn loadgen(programs: &Programs, cell: &Cell, addr: SocketAddr, got: &Path) -> Result<Sink> {
    let mut command = Command::new(programs.bin.join("loadgen"));
    command.args(["sink", "--listen", &addr.to_string(), "--tempfail", &cell.tempfail.to_string()]);
    command.args(["--times", "--ledger"]).arg(got).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Guard(command.spawn().context("cannot run loadgen")?);
    Ok(Sink { _process: process, count: Count::Ledger { file: got.into(), at: 0, lines: 0 } })
}

fn smtp_sink(addr: SocketAddr) -> Result<Sink> {
    let mut command = of_system("smtp-sink");
    // As root it wants to be someone else.
    if crate::proc::is_root() {
        command.args(["-u", "nobody"]);
    }
    command.args(["-c", &addr.to_string(), SMTP_SINK_BACKLOG]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Guard(command.spawn().context("cannot run smtp-sink (package postfix)")?);
    let output = process.0.stdout.take().context("smtp-sink has no output")?;
    let said = Arc::new(AtomicU64::new(0));
    let count = Count::Said(said.clone());
    std::thread::spawn(move || listen(output, &said));
    Ok(Sink { _process: process, count })
}

/// Keeps the last number of messages that smtp-sink told, until it ends.
fn listen(mut output: ChildStdout, said: &AtomicU64) {
    let mut text = Vec::new();
    let mut bytes = vec![0; COUNT_BYTES];
    while let Ok(count @ 1..) = output.read(&mut bytes) {
        text.extend_from_slice(&bytes[..count]);
        if let Some(messages) = last_count(&mut text) {
            said.store(messages, Ordering::Relaxed);
        }
    }
}

/// The messages in the last whole `sess=1 quit=0 mesg=5`, each ended by a carriage return; what
/// follows it stays.
fn last_count(text: &mut Vec<u8>) -> Option<u64> {
    let end = text.iter().rposition(|byte| *byte == b'\r')?;
    let rest = text.split_off(end + 1);
    let whole = String::from_utf8_lossy(&text[..end]).into_owned();
    *text = rest;
    whole.rsplit_once("mesg=")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn lines_of_a_ledger_that_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("got");
        let process = Guard(Command::new("sleep").arg("60").spawn().unwrap());
        let count = Count::Ledger { file: path.clone(), at: 0, lines: 0 };
        let mut sink = Sink { _process: process, count };
        assert_eq!(sink.taken().unwrap(), 0);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"a\nb").unwrap();
        assert_eq!(sink.taken().unwrap(), 1);
        file.write_all(b"\nc\n").unwrap();
        assert_eq!(sink.taken().unwrap(), 3);
    }

    #[test]
    fn a_running_count_in_pieces() {
        let mut text = b"sess=0 quit=0 mesg=1\rsess=0 quit=0 mesg=12\rsess=0 qu".to_vec();
        assert_eq!(last_count(&mut text), Some(12));
        assert_eq!(last_count(&mut text), None);
        text.extend_from_slice(b"it=0 mesg=13\r");
        assert_eq!(last_count(&mut text), Some(13));
        assert!(text.is_empty());
    }
}

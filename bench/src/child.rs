//! Programs that are run: none outlives its use, and none is waited for without an end.

use crate::limits::{LOOK, RUN};
use anyhow::{bail, Context, Result};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Kills a process when dropped.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end, within the limit for a run.
///
/// # Errors
/// When it cannot be run, takes too long, or fails: then with its words.
pub fn finish(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = Guard(spawned.with_context(|| format!("cannot run {name}"))?);
    let end = Instant::now() + RUN;
    loop {
        if let Some(status) = child.0.try_wait()? {
            if status.success() {
                return Ok(());
            }
            let mut text = String::new();
            if let Some(stderr) = &mut child.0.stderr {
                stderr.take(10_000).read_to_string(&mut text)?;
            }
            bail!("{name} failed: {}", text.trim());
        }
        if Instant::now() > end {
            bail!("{name} is not done after {} s", RUN.as_secs());
        }
        std::thread::sleep(LOOK / 5);
    }
}

/// A command of a Debian package that lives where only root looks.
pub fn of_system(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_an_error_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no luck >&2; exit 1"]);
        assert!(finish(command).unwrap_err().to_string().contains("no luck"));
    }
}

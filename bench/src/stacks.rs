//! Stacks of an engine while it works: `perf record`, read by way of `perf script`.

use crate::child::Guard;
use crate::limits::{LOOK, SAMPLES_PER_SECOND, START};
use crate::steps::{place, Frame, Profile};
use addr2line::Loader;
use anyhow::{anyhow, bail, Context, Result};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A recording that goes on.
pub struct Recording {
    perf: Guard,
    file: PathBuf,
    program: PathBuf,
    /// Where the program begins in memory.
    base: u64,
}

impl Recording {
    /// Records process `pid`, which runs `program`, into `file`. `stacks` is how perf finds callers:
    /// `fp`, or `dwarf,BYTES` for a program without frame pointers.
    ///
    /// # Errors
    /// When perf is not there or not allowed.
    pub fn start(pid: u32, program: &Path, file: PathBuf, stacks: &str) -> Result<Recording> {
        let program = program.canonicalize()?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let base = base_of(&maps, &program).context("the engine's program is not in its memory")?;
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-e", "cpu-clock", "--call-graph", stacks]);
        command.args(["-F", &SAMPLES_PER_SECOND.to_string(), "-p", &pid.to_string(), "-o"]);
        command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let perf = Guard(command.spawn().context("cannot run perf (package linux-perf)")?);
        let end = Instant::now() + START;
        // perf makes the file once it has attached.
        while !file.exists() {
            if Instant::now() > end {
                bail!("perf does not record");
            }
            std::thread::sleep(LOOK);
        }
        Ok(Recording { perf, file, program, base })
    }

    /// Ends the recording and tells where time went.
    ///
    /// # Errors
    /// When perf recorded nothing, or the program has no debug information.
    pub fn finish(mut self) -> Result<Profile> {
        let pid = self.perf.0.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status()?;
        self.perf.0.wait()?;
        let mut command = Command::new("perf");
        command.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]).arg(&self.file);
        let mut script = Guard(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let output = script.0.stdout.take().context("perf script has no output")?;
        let mut names = Names::of(&self.program, self.base)?;
        let mut profile = Profile::default();
        for sample in samples(BufReader::new(output))? {
            let stack = names.stack(&sample.frames);
            profile.add(place(&sample.thread, &stack));
        }
        match profile.total() {
            0 => bail!("perf recorded nothing"),
            _ => Ok(profile),
        }
    }
}

/// Where a program begins in memory, by proc_pid_maps(5).
fn base_of(maps: &str, program: &Path) -> Option<u64> {
    let line = maps.lines().find(|line| line.ends_with(&format!(" {}", program.display())))?;
    u64::from_str_radix(line.split_once('-')?.0, 16).ok()
}

/// A sample as perf tells it.
#[derive(Debug, Default)]
struct Sample {
    thread: String,
    /// Address, symbol, file; innermost first.
    frames: Vec<(u64, String, String)>,
}

/// Reads samples: a line with the thread's name, then a line per frame, then an empty one.
fn samples(lines: impl BufRead) -> Result<Vec<Sample>> {
    let mut all = Vec::new();
    let mut sample: Option<Sample> = None;
    for line in lines.lines() {
        let line = line?;
        let Some(current) = &mut sample else {
            if !line.trim().is_empty() {
                sample = Some(Sample { thread: line.trim().into(), frames: Vec::new() });
            }
            continue;
        };
        if line.trim().is_empty() {
            all.extend(sample.take());
        } else if let Some(frame) = frame(&line) {
            current.frames.push(frame);
        }
    }
    all.extend(sample);
    Ok(all)
}

/// `  55d0c0ffee some::function (/path/of/program)`.
fn frame(line: &str) -> Option<(u64, String, String)> {
    let (address, rest) = line.trim().split_once(' ')?;
    let (symbol, file) = rest.rsplit_once(" (")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    Some((address, symbol.trim().into(), file.trim_end_matches(')').into()))
}

/// Names of the program's functions, by the debug information.
struct Names {
    loader: Loader,
    program: String,
    base: u64,
    known: HashMap<u64, Vec<String>>,
}

impl Names {
    fn of(program: &Path, base: u64) -> Result<Names> {
        let loader = Loader::new(program).map_err(|error| anyhow!("{error}"))?;
        let program = program.display().to_string();
        Ok(Names { loader, program, base, known: HashMap::new() })
    }

    fn stack(&mut self, frames: &[(u64, String, String)]) -> Vec<Frame> {
        let mut outer = false;
        let mut stack = Vec::with_capacity(frames.len());
        for (address, symbol, file) in frames {
            if file.starts_with('[') && *address > u64::MAX / 2 {
                stack.push(Frame::Kernel(symbol.clone()));
                continue;
            }
            if *file == self.program {
                // A return address is behind the call.
                stack.push(Frame::User(self.names(address - u64::from(outer), symbol)));
            } else {
                stack.push(Frame::User(vec![symbol.clone()]));
            }
            outer = true;
        }
        stack
    }

    fn names(&mut self, address: u64, symbol: &str) -> Vec<String> {
        if let Some(known) = self.known.get(&address) {
            return known.clone();
        }
        let mut names = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address.saturating_sub(self.base)) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.and_then(|function| {
                    function.demangle().ok().map(std::borrow::Cow::into_owned)
                });
                names.extend(name);
            }
        }
        if names.is_empty() {
            names.push(symbol.to_string());
        }
        self.known.insert(address, names.clone());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_script_says() {
        let text = "shard-0 \n\tffffffff81000000 tcp_sendmsg+0x1 ([kernel.kallsyms])\n\t    \
            7f00 <a::B as c::D>::e (in f) (/x/ringmta)\n\n other \n\t7f01 [unknown] (/x/libc.so)\n\n";
        let samples = samples(text.as_bytes()).unwrap();
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].thread, "shard-0");
        assert_eq!(samples[0].frames[0].2, "[kernel.kallsyms]");
        let (address, symbol, file) = &samples[0].frames[1];
        assert_eq!((*address, file.as_str()), (0x7f00, "/x/ringmta"));
        assert_eq!(symbol, "<a::B as c::D>::e (in f)");
    }

    #[test]
    fn this_program_is_found_in_its_memory_and_has_names() {
        let program = std::env::current_exe().unwrap().canonicalize().unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let base = base_of(&maps, &program).unwrap();
        let mut names = Names::of(&program, base).unwrap();
        let function: fn(&str, &Path) -> Option<u64> = base_of;
        let found = names.names(function as usize as u64 + 1, "nothing");
        assert!(found.iter().any(|name| name.contains("base_of")), "{found:?}");
    }
}

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
    code: Code,
}

/// Where the code of a program is, to be found in its debug information.
#[derive(Debug, Clone, Copy)]
struct Code {
    /// Where the program begins in memory.
    base: u64,
    /// How much further from the program's begin the code is in memory than in the file.
    shift: u64,
}

impl Code {
    /// Reads proc_pid_maps(5).
    fn of(maps: &str, program: &Path) -> Option<Code> {
        let ours = format!(" {}", program.display());
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut base = None;
        for line in maps.lines().filter(|line| line.ends_with(&ours)) {
            let mut words = line.split_ascii_whitespace();
            let start = hex(words.next()?.split_once('-')?.0)?;
            let base = *base.get_or_insert(start);
            if words.next()?.contains('x') {
                let shift = start.checked_sub(base + hex(words.next()?)?)?;
                return Some(Code { base, shift });
            }
        }
        None
    }

    /// The address in the debug information of what perf calls `address`: for code of files it tells
    /// the place in the file.
    fn address(self, address: u64) -> u64 {
        match address.checked_sub(self.base) {
            Some(in_memory) => in_memory,
            None => address + self.shift,
        }
    }
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
        let code =
            Code::of(&maps, &program).context("the engine's program is not in its memory")?;
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
        Ok(Recording { perf, file, program, code })
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
        let mut names = Names::of(&self.program, self.code)?;
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

/// Source files of the program's functions, by the debug information.
struct Names {
    loader: Loader,
    program: String,
    code: Code,
    known: HashMap<u64, Vec<String>>,
}

impl Names {
    fn of(program: &Path, code: Code) -> Result<Names> {
        let loader = Loader::new(program).map_err(|error| anyhow!("{error}"))?;
        let program = program.display().to_string();
        Ok(Names { loader, program, code, known: HashMap::new() })
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
        if let Ok(mut frames) = self.loader.find_frames(self.code.address(address)) {
            while let Ok(Some(frame)) = frames.next() {
                let file = frame.location.and_then(|location| location.file);
                names.extend(file.map(str::to_string));
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
        let code = Code::of(&maps, &program).unwrap();
        let mut names = Names::of(&program, code).unwrap();
        let function: fn(&str) -> Option<(u64, String, String)> = frame;
        let in_memory = function as usize as u64 + 1;
        let in_file = in_memory - code.base - code.shift;
        for address in [in_memory, in_file] {
            let found = names.names(address, "nothing");
            assert!(found.iter().any(|name| name.ends_with("stacks.rs")), "{found:?}");
        }
    }

    #[test]
    fn memory_of_a_program() {
        let maps = "5000-6000 r--p 00000000 fe:00 7 /x/ringmta\n6000-9000 r-xp 00000800 fe:00 7 \
            /x/ringmta\n7000-8000 r-xp 00000000 fe:00 8 /x/libc.so\n";
        let code = Code::of(maps, Path::new("/x/ringmta")).unwrap();
        assert_eq!((code.base, code.shift), (0x5000, 0x800));
        assert_eq!((code.address(0x6010), code.address(0x810)), (0x1010, 0x1010));
        assert!(Code::of(maps, Path::new("/x/other")).is_none());
    }
}

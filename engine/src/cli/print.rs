//! `ringmta print`: completions and manual pages, made of the command line's own definitions; packages are made with it.

use crate::cli::args::{Cli, Print};
use clap::CommandFactory;
use std::io::Write;
use std::path::Path;

/// Prints what was asked for.
///
/// # Errors
/// It cannot be written.
pub fn print(what: &Print) -> Result<(), String> {
    let mut command = Cli::command();
    match what {
        Print::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command, "ringmta", &mut text);
            let mut out = std::io::stdout().lock();
            let written = out.write_all(&text).and_then(|()| out.flush());
            written.map_err(|error| format!("completions: {error}"))
        }
        Print::Man { dir } => man(command, dir),
    }
}

/// Writes a page for the command and one for each subcommand.
fn man(command: clap::Command, dir: &Path) -> Result<(), String> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .map_err(|error| format!("{}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        man(Cli::command(), dir.path()).unwrap();
        for page in ["ringmta.1", "ringmta-run.1", "ringmta-check.1", "ringmta-ctl-suspend.1"] {
            let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{page}");
        }
        // What is not for people is not told to them.
        assert!(!dir.path().join("ringmta-print.1").exists());
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

//! The book of `docs/`: what its pages say is tried. Blocks of Lua are trees of their own, their tests are run; commands
//! are run where the block says so, and are commands there are in any case.

use crate::support::{message, Sink, Site};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src")
}

/// A fenced block: its page, what stands behind the fence, its text.
struct Block {
    page: PathBuf,
    kind: String,
    text: String,
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(pages(&path)),
            path => found.push(path),
        }
    }
    found.sort();
    found
}

fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for page in pages(&book()) {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(kind) = line.strip_prefix("```") else { continue };
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Block {
                page: page.clone(),
                kind: kind.into(),
                text: body.join("\n") + "\n",
            });
        }
    }
    found
}

fn of_kind(kind: &str) -> Vec<Block> {
    let found: Vec<Block> = blocks().into_iter().filter(|block| block.kind == kind).collect();
    assert!(!found.is_empty(), "no block of {kind}");
    found
}

fn ringmta(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(args).env_remove("RINGMTA_POLICY").output().unwrap()
}

fn must(block: &Block, output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{}:\n{}\n{said}", block.page.display(), block.text);
}

/// Adds the spools every tree has to have, where a block leaves them out.
fn whole(text: &str) -> String {
    let spools = "require('kumo').on('init', function()
  for _, name in ipairs { 'data', 'meta' } do
    require('kumo').define_spool { name = name, path = '/var/spool/kumomta/' .. name }
  end
end)\n";
    if text.contains("kumo.on('init'") {
        text.to_string()
    } else {
        format!("{text}{spools}")
    }
}

/// What the blocks find below /etc/ringmta: keys, and the rules of the page about bounces.
fn etc(folder: &Path) -> String {
    let etc = folder.join("etc").display().to_string();
    let made = ringmta(&["init", &etc, "--domain", "example.com"]);
    assert!(made.status.success(), "{made:?}");
    let [rules] = &of_kind("toml")[..] else { panic!("another block of TOML") };
    std::fs::write(format!("{etc}/bounces.toml"), &rules.text).unwrap();
    format!("{etc}/")
}

#[test]
fn blocks_of_lua_are_trees_without_errors_or_warnings() {
    let site = Site::new();
    let etc = etc(site.dir());
    for block in of_kind("lua") {
        let file = site.dir().join("init.lua");
        std::fs::write(&file, whole(&block.text).replace("/etc/ringmta/", &etc)).unwrap();
        let file = file.display().to_string();
        must(&block, &ringmta(&["validate", "--strict", "--policy", &file]));
    }
}

#[test]
fn tests_in_the_book_pass_against_the_tree_above_them() {
    for block in of_kind("lua,test") {
        let site = Site::new();
        let tree = of_kind("lua").into_iter().rfind(|tree| tree.page == block.page).unwrap();
        std::fs::write(site.dir().join("init.lua"), whole(&tree.text)).unwrap();
        std::fs::write(site.dir().join("book_test.lua"), &block.text).unwrap();
        must(&block, &ringmta(&["test", &site.dir().display().to_string()]));
    }
}

/// Runs a block as a shell would in a fresh folder, with our program first in the path.
fn run(block: &Block, folder: &Path, endpoint: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_ringmta")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &block.text]).current_dir(folder).env("PATH", path);
    shell.env("KUMO_KCLI_ENDPOINT", endpoint).env_remove("RINGMTA_POLICY");
    must(block, &shell.output().unwrap());
}

#[test]
fn commands_that_are_said_to_run_run() {
    for block in of_kind("sh,run") {
        run(&block, Site::new().dir(), "");
    }
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(2);
    engine.accept("a@src.example", &["u@dst.example"], &message("book"));
    for block in of_kind("sh,live") {
        run(&block, Site::new().dir(), &engine.url(""));
    }
}

/// `ringmta ...` of a block or of a sentence, up to where the shell would take over.
fn commands(text: &str) -> Vec<String> {
    let end = |rest: &str| rest.find(['`', '\n', '|', ';', '>', ')']).unwrap_or(rest.len());
    let starts = text.match_indices("ringmta ").filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| c == '`' || c == '\n' || c == ' ')
            && text[..*at].rsplit('\n').next().is_some_and(|line| {
                line.is_empty() || line.ends_with('`') || line.ends_with("init.lua ")
            })
    });
    starts.map(|(at, _)| text[at..][..end(&text[at..])].trim().to_string()).collect()
}

#[test]
fn every_command_that_is_named_is_one() {
    use clap::Parser;
    let mut count = 0;
    for page in pages(&book()) {
        let text = std::fs::read_to_string(&page).unwrap();
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().collect();
            // `ringmta ctl` in a sentence names a command without what belongs to it.
            let is_whole = words.len() > 2;
            // In quotes a word may have spaces; which words they are makes no difference here.
            let mut open = false;
            let words = words.into_iter().filter(|word| {
                let was_open = open;
                open ^= word.matches('\'').count() % 2 == 1;
                !was_open
            });
            let parsed = ringmta::cli::args::Cli::try_parse_from(words);
            let wrong = parsed.err().filter(|error| is_whole && error.use_stderr());
            assert!(wrong.is_none(), "{}: {command}\n{}", page.display(), wrong.unwrap());
            count += 1;
        }
    }
    assert!(count > 30, "only {count} commands found");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = std::fs::read_to_string(book().join("SUMMARY.md")).unwrap();
    for page in pages(&book()) {
        let name = page.strip_prefix(book()).unwrap().display().to_string();
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name}");
    }
}

#[test]
fn every_generated_page_is_in_the_reference() {
    let included: String = pages(&book().join("reference"))
        .iter()
        .map(|p| std::fs::read_to_string(p).unwrap())
        .collect();
    for page in pages(&book().join("../../policy/reference")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || included.contains(&format!("/{name}}}}}")), "{name}");
    }
}

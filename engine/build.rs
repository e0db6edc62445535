//! Tells the program what it was made of, for `--version`: the commit, of the git checkout or of `RINGMTA_COMMIT` where
//! there is none (an archive, a container's build), and the cargo features.
use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn commit() -> String {
    println!("cargo::rerun-if-env-changed=RINGMTA_COMMIT");
    if let Some(given) = std::env::var("RINGMTA_COMMIT").ok().filter(|text| !text.is_empty()) {
        return format!("commit {given}");
    }
    // Who builds without optimisation builds after every edit: no commit is what it is made of.
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return "development build".into();
    }
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let hash = git(&["rev-parse", "--short=12", "HEAD"]);
    hash.map_or("commit unknown".into(), |hash| format!("commit {hash}"))
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let names = ["full", "kafka", "kafka-tls", "planted-bugs"];
    let is_on = |name: &&str| {
        let variable = name.to_uppercase().replace('-', "_");
        std::env::var_os(format!("CARGO_FEATURE_{variable}")).is_some()
    };
    let on: Vec<&str> = names.into_iter().filter(|name| is_on(name)).collect();
    let features = if on.is_empty() { "default".into() } else { on.join(", ") };
    println!("cargo::rustc-env=RINGMTA_BUILD={}; features: {features}", commit());
}

//! A thousand requests for messages of parts, made from a seed, and what a parser of other people's reads in the messages
//! that come of them: the same texts, names and files, no defect, every line short enough, every field once.

use crate::support::{program, Sink, Site};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const COUNT: usize = 1000;

fn python(arguments: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/tools/generated.py");
    let output = Command::new("python3").arg(script).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The number of the request that a message was made of.
fn case(data: &[u8]) -> usize {
    let text = String::from_utf8_lossy(data);
    let line = text.lines().find_map(|line| line.strip_prefix("X-Case: "));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn mail_made_of_parts_says_what_was_asked_for() {
    if program("python3").is_none() {
        return eprintln!("SKIPPED: no python3, so nobody has read the mail that injection makes");
    }
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.http = "request_body_limit = 10485760,".into();
    let engine = site.start(2);
    // Another seed makes other requests: any must do.
    let seed = std::env::var("RINGMTA_GENERATED_SEED").unwrap_or_else(|_| "1".into());
    let (made, requests) = python(&["make", &seed, &COUNT.to_string()]);
    assert!(made, "{requests}");
    for request in requests.lines() {
        let request: Value = serde_json::from_str(request).unwrap();
        let answer = engine.post("/api/inject/v1", &request).expect(200).json();
        assert_eq!(answer["success_count"], 1, "{answer} {request}");
    }
    let folder = site.dir().join("made");
    std::fs::create_dir(&folder).unwrap();
    for message in sink.wait_messages(COUNT) {
        std::fs::write(folder.join(format!("{}.eml", case(&message.data))), &message.data).unwrap();
    }
    let list = site.dir().join("requests.jsonl");
    std::fs::write(&list, requests).unwrap();
    let (good, said) = python(&["check", list.to_str().unwrap(), folder.to_str().unwrap()]);
    let first: Vec<&str> = said.lines().take(40).collect();
    assert!(good, "seed {seed}:\n{}", first.join("\n"));
}

//! A thousand requests for messages of parts, made from a seed, and what a parser of other people's reads in the messages
//! that come of them: the same texts, names and files, no defect, every line short enough, every field once.

use crate::support::{program, Sink, Site};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const COUNT: usize = 1000;

fn python(arguments: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/tools/generated.py");
    // One that has dkimpy, where there is one.
    let python = std::env::var("RINGMTA_DKIM_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What openssl prints.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A key in the file `path` that signs what is injected: the policy, the key's modulus and its DNS record.
fn signer(path: &str) -> (String, String, String) {
    openssl(&["genrsa", "-traditional", "-out", path, "2048"]);
    let modulus = openssl(&["rsa", "-in", path, "-noout", "-modulus"]);
    let modulus = modulus.trim().trim_start_matches("Modulus=").to_string();
    let public = openssl(&["rsa", "-in", path, "-pubout"]);
    let digits: String = public.lines().filter(|line| !line.starts_with("--")).collect();
    let policy = format!(
        "kumo.on('http_message_generated', function(msg)
            msg:dkim_sign(kumo.dkim.rsa_sha256_signer {{ domain = 'src.test', selector = 's', key = '{path}',
                headers = {{ 'From', 'To', 'Cc', 'Reply-To', 'Subject', 'Date', 'Message-ID', 'MIME-Version', 'Content-Type', 'X-Note' }} }})
        end)"
    );
    (policy, modulus, format!("v=DKIM1; k=rsa; p={digits}"))
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
    let key = site.dir().join("key.pem").display().to_string();
    let signer = program("openssl").map(|_| signer(&key));
    site.extra = signer.as_ref().map(|(policy, ..)| policy.clone()).unwrap_or_default();
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
    let Some((_, modulus, record)) = signer else {
        return eprintln!("SKIPPED: no openssl, so nothing was signed");
    };
    let verify = |modulus: &str| python(&["signed", modulus, &record, folder.to_str().unwrap()]);
    let (good, said) = verify(&modulus);
    let first: Vec<&str> = said.lines().take(40).collect();
    assert!(good, "seed {seed}:\n{}", first.join("\n"));
    // One that takes everything would pass as well.
    let (_, said) = verify(&format!("{modulus}1"));
    assert_eq!(said.matches("does not match").count(), COUNT, "{said}");
}

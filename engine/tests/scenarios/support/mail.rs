//! Messages.

use std::path::{Path, PathBuf};

/// A small message with this subject.
pub fn message(subject: &str) -> Vec<u8> {
    format!(
        "From: <a@src.test>\r\nTo: <u@dst.test>\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@src.test>\r\n\r\nHello from {subject}.\r\n"
    )
    .into_bytes()
}

/// A message as it came, without the Received and X-KumoRef headers in front of it.
pub fn without_trace(data: &[u8]) -> &[u8] {
    let mut rest = data;
    for name in ["Received:", "X-KumoRef:"] {
        assert!(
            rest.starts_with(name.as_bytes()),
            "no {name} in {:?}",
            String::from_utf8_lossy(data)
        );
        loop {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            rest = &rest[end..];
            if !matches!(rest.first(), Some(b' ' | b'\t')) {
                break;
            }
        }
    }
    rest
}

/// The messages of the corpus, (file name, bytes with CRLF line ends), when there is one on this
/// machine: `RINGMTA_CORPUS` names its folder, else it is `shared/corpus` beside the repository.
pub fn corpus() -> Option<Vec<(String, Vec<u8>)>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("RINGMTA_CORPUS").map_or(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no corpus of messages (RINGMTA_CORPUS names its folder)");
        return None;
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "a corpus without messages");
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, with_crlf(&std::fs::read(path).unwrap()))
    };
    Some(files.iter().map(read).collect())
}

/// `raw` with every line ended by CRLF, the last one too.
pub fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut bytes = raw.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                out.extend_from_slice(b"\r\n");
                bytes.next_if(|next| **next == b'\n');
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(*other),
        }
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

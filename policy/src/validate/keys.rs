//! Key files that a policy names: seen before the first message is to be signed with one.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use super::lex::{tokens, Token};
use super::tree::{find, is_joined, requires, Found};
use crate::families::dkim::signer::{check, short_rsa_bits, too_short, Algorithm};
use crate::net::wire::read_pem;
use crate::vm::finding::{Finding, Grade};

/// Endings of files with keys.
const KEYS: [&str; 3] = [".pem", ".key", ".private"];
/// Functions whose `key` is one to sign with.
const SIGNERS: [(&str, Algorithm); 2] =
    [("rsa_sha256_signer", Algorithm::RsaSha256), ("ed25519_sha256_signer", Algorithm::Ed25519)];

/// The key files named in a policy and in all it requires that this user cannot read, or that hold no key.
pub fn unusable_keys(policy: &Path) -> Vec<Finding> {
    let folder = policy.parent().unwrap_or(Path::new("")).to_owned();
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = VecDeque::from([policy.to_owned()]);
    while let Some(path) = waiting.pop_front() {
        let source = match seen.insert(path.clone()) {
            true => std::fs::read(&path),
            false => continue,
        };
        let Ok(source) = source else { continue };
        let name = path.display().to_string();
        let tokens = tokens(&String::from_utf8_lossy(&source));
        waiting.extend(requires(&tokens).into_iter().filter_map(|(_, module)| {
            match find(&folder, &module) {
                Found::File(path) => Some(path),
                Found::Built | Found::Nowhere => None,
            }
        }));
        let whole = (0..tokens.len()).filter(|at| !is_joined(&tokens, *at));
        findings.extend(whole.filter_map(|at| look(&name, &tokens, at)));
    }
    findings
}

/// What is wrong with the key file that the text at `at` names, if it names one.
pub(super) fn look(file: &str, tokens: &[(usize, Token)], at: usize) -> Option<Finding> {
    let (line, Token::Text(path)) = tokens.get(at)? else { return None };
    let algorithm = signer_of(tokens, at);
    let is_named = KEYS.iter().any(|end| path.ends_with(end)) && !path.contains('\n');
    if algorithm.is_none() && !is_named {
        return None;
    }
    let why = match (std::fs::metadata(path), read_pem(path), algorithm) {
        // What is put together elsewhere, or is told as a file that is not there.
        (Err(error), ..) if error.kind() == std::io::ErrorKind::NotFound => return None,
        (_, Err(why), _) => why,
        (_, Ok(key), Some(algorithm)) => format!("{path}: {}", check(algorithm, &key).err()?),
        (_, Ok(key), None) => match short_rsa_bits(&key) {
            Some(bits) => format!("{path}: {}", too_short(bits)),
            None if holds_nothing(&key) => format!("{path} holds neither a key nor a certificate"),
            None => return None,
        },
    };
    Some(Finding::at(file, *line, Grade::Warning, why))
}

/// Whether a file that is named as a key is none of any kind: what is in PEM may be one of TLS, or a certificate.
fn holds_nothing(content: &[u8]) -> bool {
    let is_key = |algorithm| check(algorithm, content).is_ok();
    memchr::memmem::find(content, b"-----BEGIN ").is_none()
        && !is_key(Algorithm::RsaSha256)
        && !is_key(Algorithm::Ed25519)
}

/// The algorithm of the signer whose `key` the text at `at` is.
fn signer_of(tokens: &[(usize, Token)], at: usize) -> Option<Algorithm> {
    let before = |back: usize| at.checked_sub(back).map(|n| &tokens[n].1);
    let is_key = matches!(before(2), Some(Token::Name(name)) if name == "key");
    if !is_key || before(1) != Some(&Token::Sign('=')) {
        return None;
    }
    // Back to the brace that opens the table, past those within it.
    let mut depth = 0;
    let open = (0..at).rev().find(|n| {
        match tokens[*n].1 {
            Token::Sign('}') => depth += 1,
            Token::Sign('{') if depth == 0 => return true,
            Token::Sign('{') => depth -= 1,
            _ => {}
        }
        false
    })?;
    let called = match &tokens.get(open.checked_sub(1)?)?.1 {
        Token::Sign('(') => &tokens.get(open.checked_sub(2)?)?.1,
        other => other,
    };
    let Token::Name(called) = called else { return None };
    SIGNERS.iter().find(|(name, _)| name == called).map(|(_, algorithm)| *algorithm)
}

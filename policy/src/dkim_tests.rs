use super::*;
use crate::options::KeySource;
use std::io::Write;
use std::process::{Command, Stdio};

const MESSAGE: &[u8] = b"From: Jo <jo@example.com>\r\nTo: a@b.example\r\nSubject: one\r\n  two \r\nSubject: again\r\nX-Other: x\r\n\r\nHi  there \t\r\n\r\n.dot\r\n\r\n\r\n";

fn params(headers: &[&str]) -> DkimSigner {
    DkimSigner {
        domain: "example.com".into(),
        selector: "s1".into(),
        headers: headers.iter().map(|h| h.to_string()).collect(),
        key: KeySource::Data(Vec::new()),
        ..DkimSigner::default()
    }
}

/// RFC 6376, sections 3.4.4 and 3.4.3: the hash of an empty body, and of the example in section 3.4.5.
#[test]
fn body_hashes() {
    use Canonicalization::*;
    let b64 = |body: &[u8], how| BASE64.encode(&hash_body(body, how, None));
    assert_eq!(b64(b"", Simple), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
    assert_eq!(b64(b"", Relaxed), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let sha = |s: &[u8]| BASE64.encode(ring::digest::digest(&SHA256, s).as_ref());
    assert_eq!(b64(b" C \r\nD \t E\r\n\r\n\r\n", Relaxed), sha(b" C\r\nD E\r\n"));
    assert_eq!(b64(b" C \r\nD \t E\r\n\r\n\r\n", Simple), sha(b" C \r\nD \t E\r\n"));
    assert_eq!(b64(b"no line end", Relaxed), sha(b"no line end\r\n"));
}

#[test]
fn relaxed_headers() {
    let mut out = Vec::new();
    canonical_field(b"SUBJect", b" A \r\n\t b  c ", Canonicalization::Relaxed, &mut out);
    assert_eq!(out, b"subject:A b c");
}

#[test]
fn several_fields_of_one_name_are_taken_from_the_bottom() {
    let block = HeaderBlock::new(MESSAGE);
    let names: Vec<String> = ["subject", "Subject", "subject", "from"].map(String::from).to_vec();
    let got: Vec<String> = pick(&block, &names).iter().map(Field::decoded).collect();
    assert_eq!(got, ["again", "one  two", "Jo <jo@example.com>"]);
}

#[test]
fn bad_keys_say_so_without_showing_them() {
    let e = Signer::new(params(&["From"]), Algorithm::RsaSha256, b"hunter2").err().unwrap();
    assert!(
        e.starts_with("the key is not a usable RSA private key") && !e.contains("hunter2"),
        "{e}"
    );
    let e = Signer::new(params(&["Subject"]), Algorithm::RsaSha256, b"").err().unwrap();
    assert!(e.contains("must include From"), "{e}");
}

fn tool(name: &str, args: &[&str]) -> Option<Vec<u8>> {
    let out = Command::new(name).args(args).output().ok()?;
    out.status.success().then_some(out.stdout)
}

/// Checks a signed message with another implementation; `None` when it is not installed.
fn verify_elsewhere(message: &[u8], record: &str) -> Option<bool> {
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|p| tool(p, &["-c", "import dkim, nacl"]).is_some())?;
    let script = format!(
        "import dkim,sys\nd=sys.stdin.buffer.read()\nok=dkim.verify(d, dnsfunc=lambda n, timeout=5: b'{record}')\nsys.exit(0 if ok else 3)"
    );
    let mut child =
        Command::new(python).args(["-c", &script]).stdin(Stdio::piped()).spawn().ok()?;
    child.stdin.take()?.write_all(message).ok()?;
    Some(child.wait().ok()?.code() == Some(0))
}

#[test]
fn another_implementation_agrees() {
    let Some(rsa) = tool("openssl", &["genrsa", "-traditional", "2048"]) else {
        eprintln!("skipped: openssl is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.pem");
    std::fs::write(&path, &rsa).unwrap();
    let public =
        tool("openssl", &["rsa", "-in", path.to_str().unwrap(), "-pubout", "-outform", "DER"])
            .unwrap();
    let rsa_record = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&public));
    let seed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(seed.as_ref()).unwrap();
    let ed_record = format!(
        "v=DKIM1; k=ed25519; p={}",
        BASE64.encode(ring::signature::KeyPair::public_key(&pair).as_ref())
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (algorithm, key, record) in [
        (Algorithm::RsaSha256, &rsa[..], &rsa_record),
        (Algorithm::Ed25519, seed.as_ref(), &ed_record),
    ] {
        for (header, body) in [
            (Canonicalization::Relaxed, Canonicalization::Relaxed),
            (Canonicalization::Simple, Canonicalization::Simple),
            (Canonicalization::Relaxed, Canonicalization::Simple),
        ] {
            for over_sign in [false, true] {
                let p = DkimSigner {
                    header_canonicalization: header,
                    body_canonicalization: body,
                    over_sign,
                    expiration: Some(std::time::Duration::from_secs(3600)),
                    ..params(&["From", "To", "Subject", "Date"])
                };
                let signed =
                    Signer::new(p, algorithm, key).unwrap().sign_message(MESSAGE, now).unwrap();
                match verify_elsewhere(&signed, record) {
                    None => return eprintln!("skipped: python3-dkim is not installed"),
                    Some(ok) => assert!(
                        ok,
                        "{algorithm:?} {header:?}/{body:?} over_sign={over_sign}:\n{}",
                        String::from_utf8_lossy(&signed)
                    ),
                }
                let mut broken = signed.clone();
                let n = broken.len();
                broken[n - 10] ^= 1;
                assert_eq!(
                    verify_elsewhere(&broken, record),
                    Some(false),
                    "a changed body must not verify"
                );
            }
        }
    }
}

/// Checks a signed message with OpenDKIM, whose test mode takes keys from a file; `None` when it is not
/// installed.
fn verify_with_opendkim(message: &[u8], record: &str) -> Option<bool> {
    let program = ["opendkim", "/usr/sbin/opendkim"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").output().is_ok())?;
    let dir = tempfile::tempdir().ok()?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("mail"), message).ok()?;
    std::fs::write(path("keys"), format!("s1._domainkey.example.com {record}\n")).ok()?;
    let conf = format!("Mode v\nTestDNSData {}\nSyslog no\n", path("keys"));
    std::fs::write(path("conf"), conf).ok()?;
    let said = tool(program, &["-x", &path("conf"), "-t", &path("mail")])?;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("verification ("), "{said}");
    Some(said.contains("succeeded"))
}

/// The version of Debian knows no Ed25519.
#[test]
fn opendkim_agrees() {
    let Some(rsa) = tool("openssl", &["genrsa", "-traditional", "2048"]) else {
        return eprintln!("skipped: openssl is not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.pem");
    std::fs::write(&path, &rsa).unwrap();
    let public =
        tool("openssl", &["rsa", "-in", path.to_str().unwrap(), "-pubout", "-outform", "DER"]);
    let record = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&public.unwrap()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for how in [Canonicalization::Relaxed, Canonicalization::Simple] {
        let p = DkimSigner {
            header_canonicalization: how,
            body_canonicalization: how,
            over_sign: true,
            ..params(&["From", "To", "Subject", "Date"])
        };
        let signer = Signer::new(p, Algorithm::RsaSha256, &rsa).unwrap();
        let signed = signer.sign_message(MESSAGE, now).unwrap();
        let Some(good) = verify_with_opendkim(&signed, &record) else {
            return eprintln!("skipped: opendkim is not installed");
        };
        assert!(good, "{how:?}");
        let mut broken = signed.clone();
        broken[signed.len() - 10] ^= 1;
        assert_eq!(verify_with_opendkim(&broken, &record), Some(false), "a changed body");
    }
}

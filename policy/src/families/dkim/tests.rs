use std::io::Write;
use std::process::{Command, Stdio};

use ringmta_options::KeySource;

use super::*;

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

#[test]
fn a_short_rsa_key_is_told_with_what_to_do() {
    for format in [&["genrsa", "-traditional", "1024"][..], &["genrsa", "1024"]] {
        let Some(key) = tool("openssl", format) else {
            return eprintln!("skipped: openssl is not installed");
        };
        assert_eq!(short_rsa_bits(&key), Some(1024));
        let e = Signer::new(params(&["From"]), Algorithm::RsaSha256, &key).err().unwrap();
        assert!(e.starts_with("the RSA key has 1024 bits, at least 2048 are needed"), "{e}");
        for cut in [0, 1, 40, 100, key.len() / 2] {
            assert_eq!(short_rsa_bits(&key[..cut]), None, "{cut}");
        }
    }
    let Some(key) = tool("openssl", &["genrsa", "2048"]) else { return };
    assert_eq!(short_rsa_bits(&key), None);
}

#[test]
fn international_domains_are_signed_for_by_their_a_labels() {
    let mut of = params(&["From"]);
    of.domain = "m\u{fc}nchen.example".into();
    let value = ed25519(of).signature(MESSAGE, 1).unwrap();
    assert!(value.contains(" d=xn--mnchen-3ya.example;"), "{value}");
}

fn ed25519(p: DkimSigner) -> Signer {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Signer::new(p, Algorithm::Ed25519, key.as_ref()).unwrap()
}

#[test]
fn further_tags_are_written_when_asked_for() {
    let plain = ed25519(params(&["From"])).signature(MESSAGE, 7).unwrap();
    for tag in [" i=", " l=", " r=", "atps"] {
        assert!(!plain.contains(tag), "{plain}");
    }
    let signer = ed25519(DkimSigner {
        agent_user_identifier: Some("j o;=@example.com".into()),
        body_length: true,
        reporting: true,
        atps: Some("author.example".into()),
        atpsh: Some("sha1".into()),
        ..params(&["From"])
    });
    let value = signer.signature(MESSAGE, 7).unwrap();
    // `Hi there`, an empty line, `.dot`, each with its CRLF.
    let line = "\r\n i=j=20o=3B=3D@example.com; l=18; r=y; atps=author.example; atpsh=sha1;\r\n h=";
    assert!(value.contains(line), "{value}");
    let seal = signer.arc_message_signature(MESSAGE, 3, 7).unwrap();
    assert!(seal.contains(" i=3;") && !seal.contains("l=18") && !seal.contains("atps"), "{seal}");
}

#[test]
fn tags_that_no_reader_would_take_are_refused() {
    use ringmta_options::plain::Plain;
    use ringmta_options::{Notes, OptionTable};
    let read = |name: &str, value: &str| {
        let text = Plain::str;
        let all = Plain::map([
            ("domain", text("example.com")),
            ("selector", text("s")),
            ("headers", Plain::list(vec![text("From")])),
            ("key", text("/key")),
            (name, text(value)),
        ]);
        DkimSigner::parse(&all, &mut Notes::default()).map(drop)
    };
    for good in ["@example.com", "jo@example.com", "jo@Sub.Example.com"] {
        assert_eq!(read("agent_user_identifier", good), Ok(()), "{good}");
    }
    for bad in ["jo", "jo@example.org", "jo@badexample.com", "example.com"] {
        let e = read("agent_user_identifier", bad).unwrap_err();
        assert!(e.contains("is not an address in `example.com`"), "{e}");
    }
    assert_eq!(read("atps", "author.example"), Ok(()));
    assert!(read("atps", "a b").unwrap_err().contains("is not a domain"));
    assert!(read("atpsh", "sha256").unwrap_err().contains("needs `atps`"));
}

/// What is added behind the signed length passes; what is changed within does not.
#[test]
fn a_stated_length_lets_text_be_added() {
    let Some(rsa) = tool("openssl", &["genrsa", "-traditional", "2048"]) else {
        return eprintln!("skipped: openssl is not installed");
    };
    let pair = RsaKeyPair::from_der(&unwrap_pem(&rsa)).unwrap();
    let record = format!(
        "v=DKIM1; k=rsa; p={}",
        BASE64.encode(&spki(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref()))
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let p = DkimSigner {
        body_length: true,
        agent_user_identifier: Some("@example.com".into()),
        reporting: true,
        ..params(&["From", "To", "Subject", "Date"])
    };
    let signer = Signer::new(p, Algorithm::RsaSha256, &rsa).unwrap();
    let signed = signer.sign_message(MESSAGE, now).unwrap();
    let at = signed.windows(6).position(|w| w == b"\r\n.dot").unwrap();
    let longer = [&signed[..at + 8], b"footer of a list\r\n"].concat();
    let mut changed = longer.clone();
    changed[at + 3] = b'D';
    type Verify = fn(&[u8], &str) -> Option<bool>;
    let others: [(&str, Verify); 2] =
        [("python3-dkim", verify_elsewhere), ("opendkim", verify_with_opendkim)];
    for (name, verify) in others {
        for (message, good) in [(&signed, true), (&longer, true), (&changed, false)] {
            match verify(message, &record) {
                None => eprintln!("skipped: {name} is not installed"),
                Some(ok) => assert_eq!(ok, good, "{name}:\n{}", String::from_utf8_lossy(message)),
            }
        }
    }
}

/// A public key as records hold it (RFC 5280, SubjectPublicKeyInfo), of 2048 bits.
fn spki(key: &[u8]) -> Vec<u8> {
    let head = "30820122300d06092a864886f70d01010105000382010f00";
    let head = data_encoding::HEXLOWER.decode(head.as_bytes()).unwrap();
    assert_eq!(key.len(), 270);
    [&head, key].concat()
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
        BASE64.encode(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref())
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
                    agent_user_identifier: over_sign.then(|| "list+jo@news.example.com".into()),
                    reporting: over_sign,
                    atps: over_sign.then(|| "author.example".into()),
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

#[test]
fn fields_are_signed_from_the_last_and_each_once() {
    let message = b"A: 1\r\nb: 2\r\nA: 3\r\n\r\n";
    let names = ["a", "B", "A", "none", "a"].map(str::to_owned);
    let block = ringmta_mail::headers::HeaderBlock::new(message);
    let picked = super::pick(&block, &names);
    let values: Vec<&[u8]> = picked.iter().map(|field| field.value).collect();
    assert_eq!(values, [b" 3", b" 2", b" 1"]);
}

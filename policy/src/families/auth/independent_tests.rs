//! What this module says of signatures and SPF records, held against other implementations.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::testing::*;

const MAIL: &str = "From: Jo <jo@example.com>\r\nTo: a@b.example\r\nSubject: hello  there\r\nDate: Sun, 22 Nov 2026 15:02:49 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nHi  there \t\r\n\r\nbye\r\n\r\n";

/// Runs a program with a text on stdin; `None`, said on stderr, when it is not there or says it cannot work.
fn run(program: &str, args: &[&str], stdin: &[u8]) -> Option<String> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: {program} is not installed (ci/peers.sh installs it)");
        return None;
    };
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let out = child.wait_with_output().unwrap();
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains("ModuleNotFoundError"), "{program} {args:?}: {said}");
        eprintln!("skipped: a python module is missing (ci/peers.sh installs it)");
        return None;
    }
    Some(String::from_utf8(out.stdout).unwrap())
}

/// Debian's own python, which sees Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

/// A folder with an RSA key in `k.pem`, and the key's DNS record.
fn key() -> Option<(tempfile::TempDir, String, String)> {
    let pem = run("openssl", &["genrsa", "-traditional", "2048"], b"")?;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.pem").display().to_string();
    std::fs::write(&path, pem).unwrap();
    let public = run("openssl", &["rsa", "-in", &path, "-pubout"], b"")?;
    let digits: String = public.lines().filter(|l| !l.starts_with("--")).collect();
    Some((dir, path, format!("v=DKIM1; k=rsa; p={digits}")))
}

fn zone(record: &str) -> String {
    let quoted: Vec<String> = record
        .as_bytes()
        .chunks(200)
        .map(|c| format!("\"{}\"", String::from_utf8_lossy(c)))
        .collect();
    format!("s1._domainkey.example.com. TXT {}\\n", quoted.join(" ").replace('"', "\\\""))
}

/// Runs Lua on a message `msg` with the key in the DNS; returns what it returns.
fn lua(record: &str, mail: &str, body: &str) -> serde_json::Value {
    let w = world(&format!(
        "kumo.on('test', function(msg) kumo.dns.configure_test_resolver {{ \"{}\" }} {body} end)",
        zone(record)
    ));
    w.fire("test", Object(message(mail.as_bytes()))).unwrap()
}

#[test]
fn dkimpy_verifies_our_signatures_and_seals() {
    let Some((_dir, path, record)) = key() else { return };
    let signer = format!(
        "local signer = kumo.dkim.rsa_sha256_signer {{ domain = 'example.com', selector = 's1', key = '{path}', headers = {{ 'From', 'To', 'Subject', 'Date', 'Message-ID' }} }}"
    );
    let signed = lua(&record, MAIL, &format!("{signer} msg:dkim_sign(signer) msg:arc_seal(signer, 'one.example', {{ {{ method = 'spf', result = 'pass', props = {{}} }} }}) msg:arc_seal(signer, 'two.example', msg:dkim_verify()) return msg:get_data()"));
    let script = "import sys, dkim\nmail = sys.stdin.buffer.read()\ndns = lambda name, timeout=5: sys.argv[1].encode()\nprint(dkim.verify(mail, dnsfunc=dns))\nprint(dkim.arc_verify(mail, dnsfunc=dns)[0].decode())\n";
    let Some(said) = run(PYTHON, &["-c", script, &record], signed.as_str().unwrap().as_bytes())
    else {
        return;
    };
    assert_eq!(said, "True\npass\n");
}

#[test]
fn we_verify_what_dkimpy_signs_and_seals() {
    let Some((_dir, path, record)) = key() else { return };
    for canonical in ["relaxed", "simple"] {
        let script = "import sys, dkim\nmail = sys.stdin.buffer.read()\nkey = open(sys.argv[1], 'rb').read()\nc = sys.argv[2].encode()\nmail = dkim.sign(mail, b's1', b'example.com', key, canonicalize=(c, c), length=False) + mail\nmail = b'Authentication-Results: one.example; spf=pass smtp.mailfrom=jo@example.com\\r\\n' + mail\nseal = dkim.arc_sign(mail, b's1', b'example.com', key, b'one.example')\nsys.stdout.buffer.write(b''.join(seal) + mail)\n";
        let Some(signed) = run(PYTHON, &["-c", script, &path, canonical, &record], MAIL.as_bytes())
        else {
            return;
        };
        let said = lua(&record, &signed, "return { msg:dkim_verify()[1].result, msg:arc_verify().result, msg:arc_verify().reason }");
        assert_eq!(said, json!(["pass", "pass"]), "{canonical}: {signed}");
        let broken = signed.replace("bye", "BYE");
        assert_eq!(
            lua(
                &record,
                &broken,
                "return { msg:dkim_verify()[1].result, msg:arc_verify().result }"
            ),
            json!(["fail", "fail"])
        );
    }
}

#[test]
fn what_opendkim_signs_is_verified_and_sha1_refused() {
    let Some((_dir, path, record)) = key() else { return };
    let program = ["/usr/sbin/opendkim-testmsg", "/usr/bin/opendkim-testmsg"];
    let program = program.into_iter().find(|p| std::path::Path::new(p).exists());
    let Some(program) = program else {
        eprintln!("skipped: opendkim-testmsg is not installed (ci/peers.sh installs it)");
        return;
    };
    let Some(signed) =
        run(program, &["-d", "example.com", "-s", "s1", "-k", &path], MAIL.as_bytes())
    else {
        return;
    };
    let said = lua(&record, &signed, "return msg:dkim_verify()");
    // This tool signs with SHA-1 in some versions, which RFC 8301 section 3.1 forbids to accept.
    let want = if signed.contains("a=rsa-sha1") { "permerror" } else { "pass" };
    assert_eq!(said[0]["result"], want, "{said} {signed}");
}

/// Records after RFC 7208, appendix A, and the tricky parts of its grammar.
const RECORDS: [(&str, &str); 12] = [
    ("all.test", "v=spf1 +all"),
    ("a.test", "v=spf1 a -all"),
    ("mx.test", "v=spf1 mx/30 ~all"),
    ("host.test", "v=spf1 a:host.a.test ?all"),
    ("inc.test", "v=spf1 include:a.test -all"),
    ("red.test", "v=spf1 redirect=a.test"),
    ("mac.test", "v=spf1 exists:%{ir}.%{l1r-}.list.test -all"),
    ("ip.test", "v=spf1 ip4:192.0.2.0/25 ip6:2001:db8::/32 -all"),
    ("mod.test", "v=spf1 foo=bar a:host.a.test -all exp=why.test"),
    ("err.test", "v=spf1 ip4:1.2.3 -all"),
    ("none.test", "v=spf10 -all"),
    ("ptr.test", "v=spf1 ptr:a.test -all"),
];

#[test]
fn pyspf_agrees_with_our_spf() {
    let zones = "a.test. A 192.0.2.10\\nhost.a.test. A 192.0.2.65\\nmx.test. MX 10 m.mx.test.\\nm.mx.test. A 192.0.2.129\\n129.2.0.192.in-addr.arpa. PTR x.other.test.\\n65.2.0.192.in-addr.arpa. PTR host.a.test.\\n10.2.0.192.strong.list.test. A 127.0.0.2\\n";
    let texts: String = RECORDS.iter().map(|(d, r)| format!("{d}. TXT \\\"{r}\\\"\\n")).collect();
    let script = r#"
import sys, json, spf
q = json.load(sys.stdin)
DNS = {('a.test','A'):['192.0.2.10'],('host.a.test','A'):['192.0.2.65'],('mx.test','MX'):[(10,'m.mx.test')],('m.mx.test','A'):['192.0.2.129'],
 ('129.2.0.192.in-addr.arpa','PTR'):['x.other.test'],('65.2.0.192.in-addr.arpa','PTR'):['host.a.test'],('10.2.0.192.strong.list.test','A'):['127.0.0.2']}
for d, r in q['records']: DNS[(d,'TXT')] = [[r.encode()]]
def lookup(name, qtype, tcpfallback=True, timeout=30):
    import ipaddress
    out = []
    for v in DNS.get((name.lower().rstrip('.'), qtype), []):
        out.append(((name, qtype), ipaddress.ip_address(v).packed if False else v))
    return out
spf.DNSLookup = lookup
out = []
for ip, domain in q['asked']:
    out.append(spf.check2(i=ip, s='strong-bad@' + domain, h='mail.' + domain)[0])
print(json.dumps(out))
"#;
    let mut asked = Vec::new();
    for (domain, _) in RECORDS {
        for ip in [
            "192.0.2.10",
            "192.0.2.65",
            "192.0.2.129",
            "192.0.2.131",
            "198.51.100.1",
            "2001:db8::1",
        ] {
            asked.push((ip, domain));
        }
    }
    let question = json!({"records": RECORDS, "asked": asked}).to_string();
    let Some(theirs) = run(PYTHON, &["-c", script], question.as_bytes()) else { return };
    let theirs: Vec<String> = serde_json::from_str(&theirs).unwrap();
    let list: String = asked.iter().map(|(ip, d)| format!("{{ '{ip}', '{d}' }},")).collect();
    let code = format!(
        "kumo.dns.configure_test_resolver {{ \"{zones}{texts}\" }} local out = {{}}
         for _, q in ipairs {{ {list} }} do
           CONN:set_meta('received_from', q[1])
           table.insert(out, kumo.spf.check_host(q[2], CONN, 'strong-bad@' .. q[2]).disposition)
         end return out"
    );
    let w = world(&format!("kumo.on('test', function(CONN) {code} end)"));
    let ours = w.fire("test", Object(ringmta_mail::ConnMeta::new())).unwrap();
    let ours: Vec<String> = serde_json::from_value(ours).unwrap();
    for ((asked, ours), theirs) in asked.iter().zip(&ours).zip(&theirs) {
        assert_eq!(ours, theirs, "{asked:?}");
    }
    assert!(
        ["pass", "fail", "softfail", "neutral", "permerror", "none"]
            .iter()
            .all(|w| ours.iter().any(|o| o == w)),
        "{ours:?}"
    );
}

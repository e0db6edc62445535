//! Trees that are broken on purpose, and what is said about them.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::testing::*;
use crate::validate::{check, Grade};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

/// Each folder holds a tree and `expected.txt`. With `UPDATE_EXPECTED` set the texts are written anew.
#[test]
fn broken_trees_are_told_in_full() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let dir = entry.unwrap().path();
        let report = check(&dir.join("init.lua"), Rc::new(HostHandle(FakeHost::new()))).unwrap();
        let text = report.text();
        let expected = dir.join("expected.txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &text).unwrap();
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(text, wanted, "{}", dir.display());
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_shipped_tree_is_clean() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/init.lua");
    let report = check(&tree, Rc::new(HostHandle(FakeHost::new()))).unwrap();
    assert!(report.findings.is_empty(), "{}", report.text());
    assert!(check(Path::new("/no/such.lua"), Rc::new(HostHandle(FakeHost::new()))).is_err());
}

/// What is found in a policy of one file.
fn findings(text: &str) -> crate::validate::Report {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("init.lua");
    std::fs::write(&file, format!("local kumo = require 'kumo'\n{text}")).unwrap();
    check(&file, Rc::new(HostHandle(FakeHost::new()))).unwrap()
}

const SPOOL: &str = "kumo.define_spool { name = 'data', path = '/tmp/x' }";

#[test]
fn listeners_must_name_an_address() {
    let listen = |listen: &str| {
        let init = format!("{SPOOL} kumo.start_esmtp_listener {{ listen = '{listen}' }}");
        findings(&format!("kumo.on('init', function() {init} end)")).text()
    };
    for good in ["0:25", "localhost:25", "127.0.0.1:25", "[::1]:25"] {
        assert!(listen(good).starts_with("OK"), "{good}: {}", listen(good));
    }
    for bad in ["junk", "127.0.0.1", "no-such-name.invalid:25"] {
        assert!(listen(bad).contains("error: listen = "), "{bad}: {}", listen(bad));
    }
}

#[test]
fn a_policy_may_ask_whether_an_option_is_known() {
    let report = findings(&format!(
        "local queue = require 'policy-extras.queue'
         kumo.on('init', function() {SPOOL}
           assert(not pcall(kumo.make_queue_config, {{ no_such = 1 }}))
           assert(pcall(kumo.make_queue_config, {{ max_age = 1 }}))
           assert(queue.is_queue_config_option('max_age', '1h'))
           assert(not queue.is_queue_config_option('max_agee', '1h'))
         end)"
    ));
    assert!(report.findings.is_empty(), "{}", report.text());
    // Not asked in this way it is a finding, and the policy goes on.
    let report = findings(&format!(
        "kumo.on('init', function() {SPOOL}
           kumo.make_queue_config {{ no_such = 1 }} kumo.make_queue_config {{ other = 1 }} end)"
    ));
    assert_eq!(report.findings.len(), 2, "{}", report.text());
}

/// Files that helper modules read are looked at before mail asks for them.
#[test]
fn what_files_of_helper_modules_say_is_tried() {
    let with = |setup: &str| findings(&format!("{setup} kumo.on('init', function() {SPOOL} end)"));
    for setup in [
        "require('policy-extras.queue'):setup{{ queue={['d.e']={t={max_agee='1h'}}} }}",
        "require('policy-extras.queue'):setup{{ tenant={t={max_age='x'}} }}",
        "require('policy-extras.queue'):setup{{ default_tenant='t' }}",
        "require('policy-extras.listener_domains'):setup{{ ['d.e']={log_arf='yes'} }}",
        "require('policy-extras.sources'):setup{{ source={a={ehlo=1}} }}",
        "require('policy-extras.sources'):setup{{ pool={p={a={weigth=1}}} }}",
    ] {
        let report = with(setup);
        assert_eq!(report.count(crate::validate::Grade::Error), 1, "{setup}: {}", report.text());
    }
    let report = with(
        "require('policy-extras.queue'):setup{{ tenant={t={require_authz={'u'}, egress_pool='p'}},
           default_tenant='t', queue={default={max_age='1d', protocol={smtp={mx_list={'h'}}}}, ['d.e']={t={c={max_age='1h'}}}} }}
         require('policy-extras.listener_domains'):setup{{ ['d.e']={relay_from_authz={'u'}} }}
         require('policy-extras.sources'):setup{{ source={a={}}, pool={p={a={weight=1}}} }}",
    );
    assert_eq!(report.count(crate::validate::Grade::Error), 0, "{}", report.text());
}

#[test]
fn what_is_never_called_refuses_nobody() {
    let report = findings(&format!(
        "kumo.on('init', function() {SPOOL}
           if kumo.no_such_module then error('is there') end
         end)
         local function never() kumo.xfer.xfer() end"
    ));
    assert_eq!(report.count(crate::validate::Grade::Error), 0, "{}", report.text());
    assert_eq!(report.findings.len(), 2, "{}", report.text());
    let report = findings(&format!(
        "kumo.on('init', function() {SPOOL} end)
         local function never() kumo.no_such_function() end"
    ));
    assert_eq!(report.count(crate::validate::Grade::Error), 1, "{}", report.text());
    let report = findings(&format!("kumo.on('init', function() {SPOOL} kumo.xfer.xfer() end)"));
    assert_eq!(report.count(crate::validate::Grade::Error), 1, "{}", report.text());
}

/// Names are checked against the module that is loaded: a tree's own, not the one in the binary.
#[test]
fn helpers_of_the_tree_are_looked_at_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policy-extras")).unwrap();
    let helper = "return { mine = function() end }";
    std::fs::write(dir.path().join("policy-extras/queue.lua"), helper).unwrap();
    let file = dir.path().join("init.lua");
    let text = format!(
        "local kumo = require 'kumo'
         local queue = require 'policy-extras.queue'
         kumo.on('init', function() {SPOOL} queue.mine() end)
         local function never() queue.setup() end"
    );
    std::fs::write(&file, text).unwrap();
    let report = check(&file, Rc::new(HostHandle(FakeHost::new()))).unwrap();
    let texts: Vec<_> = report.findings.iter().map(|f| f.text.as_str()).collect();
    assert_eq!(texts, ["queue.setup does not exist"]);
}

#[test]
fn what_the_policy_says_is_told() {
    let report = findings(&format!(
        "kumo.on('init', function() {SPOOL} print('a', 1) end)
         kumo.on('validate_config', function()
           kumo.log_error('the pool', 'is empty') kumo.validation_failed() end)"
    ));
    assert_eq!(report.said, ["a\t1", "error: the pool is empty"]);
}

#[test]
fn parts_of_paths_are_no_files() {
    let text = format!(
        "local DIR = '/nowhere'
         local paths = {{ DIR .. '/key.pem', '/none/' .. DIR .. '/x.toml', '/none.json' .. DIR }}
         local whole = '/none/whole.pem'
         kumo.on('init', function() {SPOOL} end)"
    );
    let report = findings(&text);
    let texts: Vec<_> = report.findings.iter().map(|f| f.text.as_str()).collect();
    assert_eq!(texts, ["file /none/whole.pem is not there"]);
}

/// A key that cannot be signed with is told before the first message is to be signed.
#[test]
fn keys_too_short_to_sign_with_are_told() {
    let made = std::process::Command::new("openssl").args(["genrsa", "1024"]).output();
    let Some(key) = made.ok().filter(|o| o.status.success()).map(|o| o.stdout) else {
        return eprintln!("skipped: openssl is not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.key");
    std::fs::write(&path, key).unwrap();
    let (path, folder) = (path.display(), dir.path().display());
    // As a tree of its own names it.
    let report = findings(&format!(
        "kumo.on('init', function() {SPOOL} end)
         kumo.on('smtp_server_message_received', function(msg)
           msg:dkim_sign(kumo.dkim.rsa_sha256_signer {{
             domain = 'd.test', selector = 's', headers = {{ 'From' }}, key = '{path}' }})
         end)"
    ));
    let wanted = format!("{path}: the RSA key has 1024 bits, at least 2048 are needed to sign");
    assert!(report.findings.iter().any(|f| f.text.starts_with(&wanted)), "{}", report.text());
    // As the helper's data does.
    std::fs::write(
        dir.path().join("dkim.toml"),
        format!("[domain.\"d.test\"]\nselector = 's'\nfilename = '{path}'\n"),
    )
    .unwrap();
    let report = findings(&format!(
        "local signer = require 'policy-extras.dkim_sign'
         local sign = signer:setup {{ '{folder}/dkim.toml' }}
         kumo.on('init', function() {SPOOL} end)
         kumo.on('smtp_server_message_received', function(msg) sign(msg) end)"
    ));
    assert!(!report.findings.is_empty(), "{}", report.text());
    assert!(
        report.said.iter().any(|s| s.contains("DKIM for `d.test`: ") && s.contains("1024 bits")),
        "{:?}",
        report.said
    );
}

/// A signer's key that is no key, of the wrong kind, or not to be read is told with its place, in a file it requires too.
#[test]
fn keys_that_cannot_be_used_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("junk"), "no key at all").unwrap();
    let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    std::fs::write(at("ed.pem"), made.serialize_pem()).unwrap();
    std::fs::create_dir(at("folder.key")).unwrap();
    let folder = dir.path().display();
    let module = format!(
        "return {{ sign = function(kumo)
           return kumo.dkim.rsa_sha256_signer({{ domain = 'd.test', headers = {{ 'From' }}, selector = 's', key = '{folder}/junk' }})
         end, kumo.dkim.ed25519_sha256_signer {{ domain = 'd.test', selector = 's', key = '{folder}/ed.pem' }},
         kumo.dkim.rsa_sha256_signer {{ key = '{folder}/ed.pem' }}, other = {{ key = '{folder}/junk' }},
         file = '{folder}/folder.key', none = '{folder}/none.key', joined = '{folder}/' .. 'junk.key' }}"
    );
    std::fs::write(at("signing.lua"), module).unwrap();
    let policy = at("init.lua");
    std::fs::write(&policy, "local signing = require 'signing'").unwrap();
    let found = super::unusable_keys(&policy);
    let told: Vec<_> =
        found.iter().map(|f| (f.line, f.text.replace(&format!("{folder}/"), ""))).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].0 == 2 && told[0].1.starts_with("junk: the key is not a usable RSA private key"),
        "{told:?}"
    );
    assert!(
        told[1].0 == 4 && told[1].1.starts_with("ed.pem: the key is not a usable RSA"),
        "{told:?}"
    );
    assert!(told[2].0 == 5 && told[2].1.starts_with("folder.key: Is a directory"), "{told:?}");
    assert!(found.iter().all(|f| f.file.ends_with("signing.lua") && f.grade == Grade::Warning));
}

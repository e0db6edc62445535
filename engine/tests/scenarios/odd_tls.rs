//! TLS as it is met: certificates no authority would issue, old versions, a session that fails once it is encrypted. Mail whose
//! path does not demand TLS arrives, encrypted where that can be had; mail whose path does never goes in clear.

use crate::support::odd_tls::{openssl, OddTls, Server};
use crate::support::{message, program, Phase, Sink, Site};
use std::path::Path;

const OPPORTUNISTIC: [&str; 2] = ["Opportunistic", "OpportunisticInsecure"];
const REQUIRED: [&str; 2] = ["Required", "RequiredInsecure"];
/// What openssl itself would not do any more unless told.
const WEAK: [&str; 2] = ["-cipher", "DEFAULT:@SECLEVEL=0"];

/// A certificate made of itself, whose key is made so.
fn certificate(program: &Path, folder: &Path, key: &[&str], options: &[&'static str]) -> Server {
    let made = ["req", "-x509", "-nodes", "-subj", "/CN=odd", "-keyout", "odd.key", "-out"];
    openssl(program, folder, &[&made[..], &["odd.pem", "-newkey"], key].concat());
    let file = |name: &str| folder.join(name);
    Server {
        openssl: program.to_path_buf(),
        certificate: file("odd.pem"),
        key: file("odd.key"),
        options: options.to_vec(),
    }
}

/// The same as X.509 version 1, which has no extensions.
fn version_one(program: &Path, folder: &Path) -> Server {
    let server = certificate(program, folder, &["rsa:2048"], &[]);
    openssl(program, folder, &["req", "-new", "-key", "odd.key", "-subj", "/CN=odd", "-out", "r"]);
    let sign = ["x509", "-req", "-in", "r", "-signkey", "odd.key", "-out", "odd.pem"];
    openssl(program, folder, &sign);
    let shown = std::process::Command::new(program)
        .args(["x509", "-noout", "-text", "-in", "odd.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Version: 1 "));
    server
}

/// What became of one message.
#[derive(Debug, PartialEq)]
enum Came {
    InClear,
    Encrypted,
    NotAtAll,
}

/// Sends one by a path with this `enable_tls`.
fn send(server: &Server, clear: &Sink, tls: &Sink, mode: &str) -> Came {
    send_by(server, clear, tls, &format!("enable_tls = '{mode}',"))
}

/// Sends one by a path with these options.
fn send_by(server: &Server, clear: &Sink, tls: &Sink, path: &str) -> Came {
    let hop = OddTls::start(server, clear, tls);
    let mut site = Site::to(hop.addr);
    site.path = path.into();
    site.queue = "retry_interval = '1 hour', max_age = '2 hours',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("odd"));
    let ended = crate::support::wait_some("an outcome", || {
        site.records()
            .into_iter()
            .find(|r| r["type"] == "Delivery" || r["type"] == "TransientFailure")
    });
    let delivered = ended["type"] == "Delivery";
    assert_eq!(clear.count() + tls.count(), usize::from(delivered), "{ended}");
    match (clear.count(), tls.count()) {
        (1, 0) => {
            assert!(ended["tls_cipher"].is_null(), "{ended}");
            Came::InClear
        }
        (0, 1) => {
            assert!(ended["tls_cipher"].is_string(), "{ended}");
            Came::Encrypted
        }
        _ => Came::NotAtAll,
    }
}

#[test]
fn certificates_that_prove_nothing_still_encrypt() {
    let Some(program) = program("openssl") else { return };
    // (By TLS 1.2 a server shows a key on P-521 only to who agrees keys by that curve too.)
    let kinds: [(&str, &[&str], &[&str]); 2] = [
        ("RSA-1024", &["rsa:1024"], &WEAK),
        ("P-521", &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"], &[]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut servers = vec![("X.509 v1", version_one(&program, folder.path()), folder)];
    for (name, key, options) in kinds {
        let folder = tempfile::tempdir().unwrap();
        servers.push((name, certificate(&program, folder.path(), key, options), folder));
    }
    for (name, server, _folder) in &servers {
        for (mode, came) in [
            ("OpportunisticInsecure", Came::Encrypted),
            ("RequiredInsecure", Came::Encrypted),
            ("Required", Came::NotAtAll),
        ] {
            let (clear, tls) = (Sink::start(), Sink::start());
            assert_eq!(send(server, &clear, &tls, mode), came, "{name}, {mode}");
            assert_eq!(clear.count_commands("MAIL"), 0, "{name}, {mode}");
        }
        // Which certificates are good enough is what sets this mode apart from the insecure one.
        let (clear, tls) = (Sink::start(), Sink::start());
        let told_to =
            "enable_tls = 'Opportunistic', opportunistic_tls_reconnect_on_failed_handshake = true,";
        assert_eq!(send_by(server, &clear, &tls, told_to), Came::InClear, "{name}");
    }
}

#[test]
fn versions_that_are_not_spoken_any_more_are_no_tls() {
    let Some(program) = program("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = [&["-tls1_1"][..], &WEAK].concat();
    let server = certificate(&program, folder.path(), &["rsa:2048"], &options);
    for (modes, came) in [(OPPORTUNISTIC, Came::InClear), (REQUIRED, Came::NotAtAll)] {
        for mode in modes {
            let (clear, tls) = (Sink::start(), Sink::start());
            assert_eq!(send(&server, &clear, &tls, mode), came, "{mode}");
        }
    }
}

#[test]
fn an_ehlo_that_fails_under_tls_is_a_failure_of_tls() {
    let Some(program) = program("openssl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = certificate(&program, folder.path(), &["rsa:2048"], &[]);
    for said in ["550 5.7.0 not here", "421 4.3.0 out of order (close)", "354 go on"] {
        for (mode, came) in
            [("OpportunisticInsecure", Came::InClear), ("RequiredInsecure", Came::NotAtAll)]
        {
            let (clear, tls) = (Sink::start(), Sink::start());
            tls.reply_at(Phase::Ehlo, said, 1000);
            assert_eq!(send(&server, &clear, &tls, mode), came, "{mode}, {said:?}");
            assert!(tls.count_commands("EHLO") > 0, "{mode}, {said:?}");
            let mails = clear.count_commands("MAIL");
            assert_eq!(mails, usize::from(mode.starts_with("Opp")), "{mode}, {said:?}");
        }
    }
}

#[test]
fn a_starttls_that_comes_to_nothing_never_frees_mail_that_demands_it() {
    for reply in ["454 4.7.0 TLS not available", "220 go (close)", "220 go\r\nrubbish (close)"] {
        for mode in REQUIRED {
            let sink = Sink::start();
            sink.set(|behaviour| {
                behaviour.offers.push("STARTTLS");
                behaviour.starttls = Some(reply.into());
            });
            let mut site = Site::to(sink.addr);
            site.path = format!("enable_tls = '{mode}',");
            let engine = site.start(1);
            engine.accept("a@src.test", &["u@dst.test"], &message("secret"));
            site.wait_record("TransientFailure", |_| true);
            assert_eq!((sink.count(), sink.count_commands("MAIL")), (0, 0), "{mode}, {reply:?}");
            drop(engine);
        }
    }
}

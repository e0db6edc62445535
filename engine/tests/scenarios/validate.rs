//! `ringmta validate` says what a start would say: what the one refuses the other refuses.

use crate::support::Site;
use std::process::{Command, Output};

fn validate(site: &Site, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(["validate", "--policy"]).arg(site.policy_file()).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A site whose policy is this text, with `DIR` for its folder.
fn site(policy: &str) -> Site {
    let site = Site::new();
    let dir = site.dir().display().to_string();
    let text = format!("local kumo = require 'kumo'\n{}", policy.replace("DIR", &dir));
    std::fs::write(site.policy_file(), text).unwrap();
    site
}

const SPOOLS: &str = "kumo.define_spool { name = 'data', path = 'DIR/spool/data' }
  kumo.define_spool { name = 'meta', path = 'DIR/spool/meta' }";

fn init(more: &str) -> Site {
    site(&format!("kumo.on('init', function()\n  {SPOOLS}\n  {more}\nend)"))
}

#[test]
fn what_a_start_refuses_validate_refuses() {
    let one_spool = "kumo.on('init', function()
        kumo.define_spool { name = 'data', path = 'DIR/spool/data' } end)";
    let bad_pem = "kumo.start_esmtp_listener { listen = '127.0.0.1:0',
        tls_certificate = { key_data = 'junk' }, tls_private_key = { key_data = 'junk' } }";
    let no_address = "kumo.start_esmtp_listener { listen = 'junk' }";
    let filter = "kumo.set_diagnostic_log_filter 'kumod=sillylevel'";
    for (site, word) in [
        (site(one_spool), "no spool `meta`"),
        (init(bad_pem), "ESMTP listener 127.0.0.1:"),
        (init(filter), "set_diagnostic_log_filter"),
        (init(no_address), "junk"),
    ] {
        let output = validate(&site, &[]);
        assert_eq!(output.status.code(), Some(1), "{word}: {}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
        let mut engine = site.spawn(1);
        assert_eq!(engine.wait_exit().code(), Some(1), "{word}");
        assert!(engine.says(word), "{:?}", engine.stderr());
    }
}

/// As the system's resolver takes them.
#[test]
fn listeners_are_named_by_hosts_and_short_addresses() {
    for listen in ["localhost:0", "0:0", "127.1:0", "[::1]:0"] {
        let site = init(&format!("kumo.start_esmtp_listener {{ listen = '{listen}' }}"));
        let output = validate(&site, &[]);
        assert_eq!(output.status.code(), Some(0), "{listen}: {}", said(&output));
        let engine = site.spawn(1);
        engine.wait_says("initialization complete");
        let line = engine.stderr().into_iter().find(|l| l.starts_with("smtp listener on "));
        let line = line.expect("where it listens");
        let port = line.rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let host = if listen.starts_with('[') { "::1" } else { "127.0.0.1" };
        let mut banner = [0; 4];
        let mut client = std::net::TcpStream::connect((host, port)).unwrap();
        std::io::Read::read_exact(&mut client, &mut banner).unwrap();
        assert_eq!(&banner, b"220 ", "{listen}");
    }
}

/// An event that the engine never calls is a handler that never runs.
#[test]
fn events_that_nobody_calls_are_told() {
    let site = init(
        "kumo.start_http_listener { listen = '127.0.0.1:0' }
  kumo.on('smtp_server_message_recieved', function() end)
  kumo.on('smtp_server_moon_phase', function() end)
  kumo.on('my.own.event', function() end)",
    );
    let output = validate(&site, &[]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("smtp_server_message_received"), "the nearest name: {told}");
    assert!(told.contains("smtp_server_moon_phase"), "{told}");
    assert!(!told.contains("`my.own.event` is not"), "{told}");
    assert_eq!(validate(&site, &["--strict"]).status.code(), Some(1));
}

#[test]
fn what_depends_on_the_machine_is_a_warning() {
    let site = init("kumo.configure_local_logs { log_dir = 'DIR/policy.lua/log' }");
    let output = validate(&site, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("policy.lua is not a folder"), "{}", said(&output));
    assert_eq!(validate(&site, &["--strict"]).status.code(), Some(1));
}

#[test]
fn a_name_for_ehlo_that_nobody_can_look_up_is_told_by_both() {
    let site = init(
        "kumo.start_http_listener { listen = '127.0.0.1:0' }
  kumo.make_egress_source { name = 'out', ehlo_domain = 'mailer' }",
    );
    let told = "`ehlo_domain`: \"mailer\" has no domain";
    let output = validate(&site, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains(told), "{}", said(&output));
    assert_eq!(validate(&site, &["--strict"]).status.code(), Some(1));
    site.spawn(1).wait_says(told);
}

#[test]
fn what_runs_validate_passes() {
    let site = init(
        "kumo.start_http_listener { listen = '127.0.0.1:0' }
  -- Whether it is there may be asked; what is never called stops nothing.
  if kumo.no_such_module then error 'it is there' end
  local function never() kumo.xfer.xfer() end",
    );
    let output = validate(&site, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    site.spawn(1).wait_says("initialization complete");
}

#[test]
fn a_file_or_a_folder_may_be_named() {
    let site = init("kumo.start_http_listener { listen = '127.0.0.1:0' }");
    std::fs::copy(site.policy_file(), site.dir().join("init.lua")).unwrap();
    let of = |words: &[&std::ffi::OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
        command.arg("validate").args(words).output().unwrap()
    };
    for named in [site.policy_file(), site.dir().to_path_buf()] {
        let output = of(&[named.as_os_str()]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let both = of(&["--policy".as_ref(), "x".as_ref(), "y".as_ref()]);
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
}

/// What is wrong in a file that a helper module reads is told with its place in that file.
#[test]
fn files_of_helper_modules_are_looked_at() {
    let site = site(&format!(
        "require('policy-extras.queue'):setup {{ 'DIR/queues.toml' }}\nkumo.on('init', function() {SPOOLS} end)"
    ));
    let file = "[queue.'dst.example'.'t']\nmax_agee = '1 hour'\n";
    std::fs::write(site.dir().join("queues.toml"), file).unwrap();
    let output = validate(&site, &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("queue `dst.example` `t`: unknown field `max_agee`"), "{text}");
    assert!(!text.contains("stack traceback"), "{text}");
}

//! `ringmta init`: a policy tree to start from: the shipped one with this installation's domains, DKIM keys, way out and
//! login. It is checked before it is called done.

use crate::cli::args::InitArgs;
use crate::cli::tree::{SITE, TESTS, TREE};
use crate::start::StartHost;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::fill;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine as _;
use ringmta_io::privileges::User;
use ringmta_policy::proving;
use ringmta_policy::validate::{check, Grade};
use ringmta_policy::MxEntry;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes of chance in a password or a webhook key.
const SECRET_BYTES: usize = 18;
/// How often a question is put again.
const ASKED_MAX: usize = 5;
/// Longest string of a TXT record (RFC 1035 section 3.3).
const TXT_STRING_MAX: usize = 255;

/// Writes the tree, checks it, and says what is left to do.
///
/// # Errors
/// One line that names cause and cure.
pub fn init(args: &InitArgs) -> Result<(), String> {
    let args = ask(args)?;
    let user = args.user.as_deref().map(User::named).transpose();
    let user = user.map_err(|error| format!("--user: {error}"))?;
    let folder = empty_folder(&args.folder)?;
    let place = Place { folder: &folder, user: user.as_ref() };
    let mut records = Vec::new();
    for domain in &args.domain {
        let key = Key::make()?;
        place.write(&key_file(domain), &key.private, true)?;
        records.push((format!("{}._domainkey.{domain}", args.selector), key.record));
    }
    for (name, text) in TREE.iter().chain(&TESTS).filter(|(name, _)| *name != SITE) {
        place.write(name, text, false)?;
    }
    place.write(SITE, &site(&args, &folder), false)?;
    place.write("environment", &environment(&args)?, true)?;
    prove(&folder)?;
    tell(&args, &folder, &records);
    Ok(())
}

/// Domain and the ways out, asked for where somebody sits in front of a terminal and has not said. All of it is looked at
/// before anything is written.
fn ask(args: &InitArgs) -> Result<InitArgs, String> {
    let mut asked = InitArgs {
        folder: args.folder.clone(),
        domain: args.domain.iter().map(|name| name.to_ascii_lowercase()).collect(),
        selector: args.selector.clone(),
        smart_host: args.smart_host.clone(),
        webhook: args.webhook.clone(),
        user: args.user.clone(),
    };
    asked.domain.iter().try_for_each(|name| domain(name)).map_err(|why| of("--domain", why))?;
    asked.smart_host.as_deref().map_or(Ok(()), host).map_err(|why| of("--smart-host", why))?;
    asked.webhook.as_deref().map_or(Ok(()), url).map_err(|why| of("--webhook", why))?;
    if !is_label_path(&asked.selector) {
        return Err(format!("--selector {:?} is no DNS label", asked.selector));
    }
    if asked.domain.is_empty() && io::stdin().is_terminal() {
        let list = question("Domains that mail is sent for (with commas between them)", |list| {
            names_in(list).iter().try_for_each(|name| domain(name))
        })?;
        asked.domain = names_in(&list);
        let unless_empty = |look: fn(&str) -> Result<(), String>| {
            move |text: &str| if text.is_empty() { Ok(()) } else { look(text) }
        };
        let or_none = |text: String| Some(text).filter(|text| !text.is_empty());
        if asked.smart_host.is_none() {
            let text = "Server that takes all mail (empty: each domain's own)";
            asked.smart_host = or_none(question(text, unless_empty(host))?);
        }
        if asked.webhook.is_none() {
            let text = "URL that events are posted to (empty: none)";
            asked.webhook = or_none(question(text, unless_empty(url))?);
        }
    }
    Ok(asked)
}

fn of(flag: &str, why: String) -> String {
    format!("{flag} {why}")
}

/// The names in a list with commas, in lower case.
fn names_in(list: &str) -> Vec<String> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_ascii_lowercase).collect()
}

/// Asks until the answer will do; a few times, as the one who answers may be a program.
fn question(text: &str, look: impl Fn(&str) -> Result<(), String>) -> Result<String, String> {
    let mut last = String::new();
    for _ in 0..ASKED_MAX {
        say_on!("{text}: ");
        let _ = io::stdout().flush();
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
        match look(line.trim()) {
            Ok(()) => return Ok(line.trim().to_string()),
            Err(why) => last = why,
        }
        say!("  {last}");
    }
    Err(last)
}

fn domain(name: &str) -> Result<(), String> {
    match is_label_path(name) && name.contains('.') {
        true => Ok(()),
        false => Err(format!("{name:?} is no domain, such as example.com")),
    }
}

fn host(text: &str) -> Result<(), String> {
    let wrong =
        |_| format!("{text:?} is no server, such as relay.example.net or relay.example.net:587");
    MxEntry::from_text(text).map(drop).map_err(wrong)
}

fn url(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_host = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    match rest.is_some_and(is_host) && !text.contains(char::is_whitespace) {
        true => Ok(()),
        false => Err(format!("{text:?} is no URL, such as https://example.net/events")),
    }
}

/// What is written into Lua and file names unquoted has to be what it says.
fn is_label_path(name: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn empty_folder(folder: &Path) -> Result<PathBuf, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(format!(
            "{} is not empty: name a folder that is not there yet; nothing is overwritten",
            folder.display()
        ));
    }
    folder.canonicalize().map_err(failed)
}

fn key_file(domain: &str) -> String {
    format!("dkim/{domain}.pem")
}

/// Where files go, and who is to read the secret ones besides their owner.
struct Place<'a> {
    folder: &'a Path,
    user: Option<&'a User>,
}

impl Place<'_> {
    fn write(&self, name: &str, text: &str, is_secret: bool) -> Result<(), String> {
        let path = self.folder.join(name);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(failed)?;
        }
        let mode = match (is_secret, self.user) {
            (false, _) => 0o644,
            (true, Some(_)) => 0o640,
            (true, None) => 0o600,
        };
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(mode).open(&path).map_err(failed)?;
        if let (true, Some(user)) = (is_secret, self.user) {
            std::os::unix::fs::fchown(&file, None, Some(user.gid)).map_err(failed)?;
        }
        file.write_all(text.as_bytes()).map_err(failed)
    }
}

/// A DKIM key: what signs, and what is published.
struct Key {
    private: String,
    record: String,
}

impl Key {
    /// RSA with 2048 bits: every receiver can check it (RFC 8301).
    fn make() -> Result<Key, String> {
        let failed = |_| "a DKIM key could not be made".to_string();
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
        let text = STANDARD.encode(private.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        let record = format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public.as_ref()));
        Ok(Key { private: pem, record })
    }
}

fn secret() -> Result<String, String> {
    let mut bytes = [0; SECRET_BYTES];
    fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_string())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// `policy/site.lua` of this installation.
fn site(args: &InitArgs, folder: &Path) -> String {
    let mut out = String::from(
        "-- What this installation is, as `ringmta init` was told.\nreturn {\n  \
         -- Domains that mail is sent for, each with the key that signs it.\n  domains = {\n",
    );
    for domain in &args.domain {
        let key = quoted(&folder.join(key_file(domain)).display().to_string());
        let selector = &args.selector;
        let _ = writeln!(out, "    ['{domain}'] = {{ selector = '{selector}', key = {key} }},");
    }
    let host = args.smart_host.as_deref().map_or("nil".into(), quoted);
    let url = quoted(args.webhook.as_deref().unwrap_or(""));
    let _ = write!(
        out,
        "  }},\n  -- Server that takes all mail; without one, each domain's own mail servers do.\n  \
         smart_host = {host},\n  -- Where events are posted to; '' for nowhere.\n  webhook_url = {url},\n}}\n"
    );
    out
}

/// A Lua string.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out + "'"
}

/// The environment of the service: its login, and where it listens.
fn environment(args: &InitArgs) -> Result<String, String> {
    let mut out = format!(
        "# Read by the service (EnvironmentFile= of systemd, env_file of compose). Secrets: keep it to yourself.\n\
         RINGMTA_SMTP_USER=mailing\nRINGMTA_SMTP_PASSWORD={}\n\
         # Administration and metrics: this machine alone.\nRINGMTA_HTTP_LISTEN=127.0.0.1:8000\n",
        secret()?
    );
    if args.webhook.is_some() {
        let _ = writeln!(out, "# What the receiver of events knows us by (header x-kumomta-key).");
        let _ = writeln!(out, "X_KUMOMTA_KEY={}", secret()?);
    }
    Ok(out)
}

/// The tree has to pass what `validate` and `test` ask of it.
fn prove(folder: &Path) -> Result<(), String> {
    let policy = folder.join("init.lua");
    let report = check(&policy, Rc::new(StartHost))?;
    if report.count(Grade::Error) > 0 {
        return Err(format!("the tree does not pass validate:\n{}", report.text()));
    }
    let outcomes: Vec<_> =
        proving::find(folder)?.iter().map(|file| proving::run(&policy, file)).collect();
    let why = |outcome: &proving::Outcome| {
        let mut cases = outcome.cases.iter();
        outcome.broken.clone().or_else(|| cases.find_map(|case| case.failure.clone()))
    };
    match outcomes.iter().find_map(why) {
        Some(why) => Err(format!(
            "the tree does not pass its own tests: {why}; `ringmta test {}` says which",
            folder.display()
        )),
        None => Ok(()),
    }
}

fn tell(args: &InitArgs, folder: &Path, records: &[(String, String)]) {
    let folder = folder.display();
    say!("{folder}: a policy tree that passes `ringmta validate` and its own tests.\n");
    say!("  {SITE}  what was asked for; change it there");
    say!("  environment      the login (RINGMTA_SMTP_USER, RINGMTA_SMTP_PASSWORD); a secret");
    if !records.is_empty() {
        say!("  dkim/            the keys that sign; secrets\n\nTo be published in DNS:\n");
    }
    for (name, text) in records {
        let strings = text.as_bytes().chunks(TXT_STRING_MAX).map(String::from_utf8_lossy);
        let strings: Vec<String> = strings.map(|string| format!("\"{string}\"")).collect();
        say!("{name}. IN TXT {}", strings.join(" "));
    }
    for domain in &args.domain {
        say!("_dmarc.{domain}. IN TXT \"v=DMARC1; p=none\"");
        let from = match args.smart_host {
            Some(_) => "include:WHAT-THE-SMART-HOST-PUBLISHES",
            None => "ip4:ADDRESS-OF-THIS-HOST",
        };
        say!("{domain}. IN TXT \"v=spf1 {from} -all\"");
    }
    say!("\nThen, with the same environment:\n");
    let domains =
        args.domain.iter().fold(String::new(), |all, one| format!("{all} --domain {one}"));
    let selector = if args.domain.is_empty() {
        String::new()
    } else {
        format!(" --selector {}", args.selector)
    };
    say!("  set -a; . {folder}/environment; set +a");
    say!("  ringmta check --policy {folder}/init.lua{domains}{selector}");
    say!("  ringmta run --policy {folder}/init.lua");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn tree(args: InitArgs) -> (tempfile::TempDir, Result<(), String>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("tree");
        let result = init(&InitArgs { folder, selector: "s1".into(), ..args });
        (dir, result)
    }

    #[test]
    fn a_tree_signs_and_passes_its_own_tests() {
        let (dir, result) = tree(InitArgs {
            domain: vec!["Example.com".into(), "news.example.net".into()],
            smart_host: Some("relay.example.net:587".into()),
            webhook: Some("http://127.0.0.1:9/it's".into()),
            ..InitArgs::default()
        });
        result.unwrap();
        let mode = |name: &str| {
            dir.path().join("tree").join(name).metadata().unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("environment"), 0o600);
        assert_eq!(mode("dkim/example.com.pem"), 0o600);
        let site = std::fs::read_to_string(dir.path().join("tree").join(SITE)).unwrap();
        assert!(site.contains("'http://127.0.0.1:9/it\\'s'"), "{site}");
        // What is there is not touched.
        let folder = dir.path().join("tree");
        let again = init(&InitArgs { folder, selector: "s1".into(), ..InitArgs::default() });
        assert!(again.unwrap_err().contains("is not empty"));
    }

    #[test]
    fn nothing_but_names_gets_into_lua() {
        for name in ["example", "a'.com", "../x.com", "a b.com", ""] {
            let (_dir, result) =
                tree(InitArgs { domain: vec![name.into()], ..InitArgs::default() });
            assert!(result.unwrap_err().contains("--domain"), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_said_before_anything_is_written() {
        for (smart_host, webhook, said) in [
            (Some("a b"), None, "--smart-host \"a b\" is no server"),
            (None, Some("example.net/events"), "--webhook \"example.net/events\" is no URL"),
            (None, Some("http:///events"), "--webhook"),
        ] {
            let own = |text: Option<&str>| text.map(String::from);
            let (smart_host, webhook) = (own(smart_host), own(webhook));
            let (dir, result) = tree(InitArgs { smart_host, webhook, ..InitArgs::default() });
            let why = result.unwrap_err();
            assert!(why.starts_with(said), "{why}");
            assert!(!dir.path().join("tree").exists());
        }
        for good in ["http://127.0.0.1:8021/", "https://[::1]/x?y=it's"] {
            url(good).unwrap();
        }
    }

    #[test]
    fn without_domains_too() {
        tree(InitArgs::default()).1.unwrap();
    }
}

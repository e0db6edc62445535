//! What a start would refuse, looked at without starting: nothing is opened, made or written.

use crate::diagnostics;
use ringmta_io::system;
use ringmta_policy::{listen_address, EsmtpListener, HttpListener, InitConfig, KeySource, Policy};
use ringmta_shard::listener_tls::ListenerTls;
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// What a start says no to, and what it would on this machine, as this user: policies are also checked elsewhere.
#[derive(Debug, Default, PartialEq)]
pub struct Refusals {
    /// No start goes by these.
    pub everywhere: Vec<String>,
    /// They depend on the machine and the user.
    pub here: Vec<String>,
}

/// Looks at what `init` asked for. `empty` is a policy without handlers: it reads the keys that lie in files.
pub fn look(init: &InitConfig, empty: &Policy) -> Refusals {
    let mut found = Refusals::default();
    for name in ["data", "meta"] {
        if !init.spools.iter().any(|spool| spool.name == name) {
            found.everywhere.push(format!(
                "the policy defines no spool `{name}`: call kumo.define_spool in init"
            ));
        }
    }
    if let Some(filter) = &init.diagnostic_log_filter {
        if let Err(why) = diagnostics::check_filter(filter) {
            found.everywhere.push(format!("kumo.set_diagnostic_log_filter: {why}"));
        }
    }
    certificates(init, empty, &mut found);
    addresses(init, &mut found);
    for (what, path) in folders(init) {
        found.here.extend(unwritable(what, &path));
    }
    found
}

/// Certificates and keys that lie in files, or in the policy. (Those that an event or a vault gives are read at a start.)
fn certificates(init: &InitConfig, empty: &Policy, found: &mut Refusals) {
    let at_hand = |source: &Option<KeySource>| match source {
        // One that is not there is told with its place.
        Some(KeySource::File(path)) => path.exists(),
        Some(KeySource::Data(_)) | None => true,
        Some(_) => false,
    };
    let smtp = |of: &&EsmtpListener| {
        [&of.tls_certificate, &of.tls_private_key, &of.tls_required_client_ca]
            .into_iter()
            .all(at_hand)
    };
    let http =
        |of: &&HttpListener| [&of.tls_certificate, &of.tls_private_key].into_iter().all(at_hand);
    let of_smtp = init.esmtp_listeners.iter().filter(smtp);
    let of_smtp = of_smtp.map(|of| ListenerTls::of_smtp(empty, of, "localhost").map(drop));
    let of_http = init.http_listeners.iter().filter(http);
    let of_http = of_http.map(|of| ListenerTls::of_http(empty, of, "localhost").map(drop));
    found.everywhere.extend(of_smtp.chain(of_http).filter_map(Result::err));
}

/// No two listeners share an address (each would get some of the connections), and each address is one of this host's.
fn addresses(init: &InitConfig, found: &mut Refusals) {
    let smtp = init.esmtp_listeners.iter().map(|of| &of.listen);
    let http = init.http_listeners.iter().map(|of| &of.listen);
    let mut seen: HashMap<SocketAddr, &str> = HashMap::new();
    for listen in smtp.chain(http) {
        // What is no address at all is told with its place.
        let Ok(address) = listen_address(listen) else { continue };
        if address.port() != 0 {
            if let Some(other) = seen.insert(address, listen) {
                let text = format!("listen = {listen:?}: {other:?} is the same address, {address}");
                // What a name stands for is told by the machine.
                let is_plain = |text: &str| text.parse::<SocketAddr>().is_ok();
                match is_plain(listen) && is_plain(other) {
                    true => found.everywhere.push(text),
                    false => found.here.push(text),
                }
                continue;
            }
        }
        // Any port does: whether this one is free is nothing the policy can say.
        if let Err(error) = TcpListener::bind((address.ip(), 0)) {
            found.here.push(format!("listen = {listen:?}: {error}"));
        }
    }
}

fn folders(init: &InitConfig) -> Vec<(&'static str, PathBuf)> {
    let spools = init.spools.iter().map(|spool| ("spool", spool.path.clone()));
    let logs = crate::confine::log_folders(init).map(|path| ("log_dir", path.to_path_buf()));
    spools.chain(logs).collect()
}

/// Why a folder could not be used, when that can be seen: it, or what it would be made in, is not a folder or may not be
/// written to.
fn unwritable(what: &str, path: &Path) -> Option<String> {
    let whole = std::path::absolute(path).ok()?;
    let there = whole.ancestors().find(|one| one.exists())?;
    let shown = path.display();
    if !there.is_dir() {
        return Some(format!("{what} {shown}: {} is not a folder", there.display()));
    }
    let error = system::may_write(there).err()?;
    Some(format!("{what} {shown}: {} cannot be written: {error}", there.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_policy::{NoHost, Shared};
    use std::rc::Rc;

    fn look_at(init: InitConfig) -> Refusals {
        look(&init, &Policy::empty(Shared::new(1), Rc::new(NoHost)))
    }

    #[test]
    fn what_a_start_needs_is_looked_at() {
        let found = look_at(InitConfig::default());
        assert_eq!(found.everywhere.len(), 2, "{found:?}");
        assert!(found.everywhere[0].contains("no spool `data`"), "{found:?}");
        let listener =
            |listen: &str| HttpListener { listen: listen.into(), ..HttpListener::default() };
        let init = InitConfig {
            http_listeners: vec![
                listener("127.0.0.1:8000"),
                listener("localhost:8000"),
                listener("192.0.2.1:8000"),
                listener("127.0.0.1:8001"),
                listener("127.0.0.1:8001"),
                listener("127.0.0.1:0"),
                listener("127.0.0.1:0"),
            ],
            diagnostic_log_filter: Some("kumod=sillylevel".into()),
            ..InitConfig::default()
        };
        let found = look_at(init);
        let texts = found.everywhere.join("\n");
        assert!(texts.contains("set_diagnostic_log_filter"), "{texts}");
        assert!(texts.contains("\"127.0.0.1:8001\" is the same address"), "{texts}");
        assert_eq!(found.here.len(), 2, "{found:?}");
        let same = "listen = \"localhost:8000\": \"127.0.0.1:8000\" is the same";
        assert!(found.here[0].starts_with(same), "{found:?}");
        assert!(found.here[1].starts_with("listen = \"192.0.2.1:8000\": "), "{found:?}");
    }

    #[test]
    fn certificates_must_be_some() {
        let bad = EsmtpListener {
            tls_certificate: Some(KeySource::Data(b"no certificate".to_vec())),
            tls_private_key: Some(KeySource::Data(b"no key".to_vec())),
            ..EsmtpListener::default()
        };
        let init = InitConfig { esmtp_listeners: vec![bad], ..InitConfig::default() };
        let found = look_at(init).everywhere;
        assert!(found.iter().any(|text| text.starts_with("ESMTP listener ")), "{found:?}");
    }

    #[test]
    fn a_file_where_a_folder_belongs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        assert_eq!(unwritable("spool", &dir.path().join("a/b")), None);
        let told = unwritable("spool", &dir.path().join("file/spool")).unwrap();
        assert!(told.ends_with("/file is not a folder"), "{told}");
    }
}

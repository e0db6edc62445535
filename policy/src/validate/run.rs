//! The policy run as a start would run it, every complaint collected.

use std::path::Path;
use std::rc::Rc;

use futures::executor::block_on;
use mlua::{IntoLuaMulti, Value};
use ringmta_options::{EgressPath, EgressPool, EgressSource, KeySource, QueueConfig, UNSPECIFIED};

use super::report::Report;
use super::scan::Scan;
use crate::host::Host;
use crate::loading::policy::Policy;
use crate::process::shared::Shared;
use crate::vm::context::Mode;
use crate::vm::error::PolicyError;
use crate::vm::finding::{Finding, Grade};
use crate::vm::option_objects::OptionObject;

/// Made-up arguments configuration events are asked with.
const DOMAIN: &str = "example.com";
const SITE: &str = "mx.example.com";

pub(super) fn run(file: &Path, host: Rc<dyn Host>) -> Result<Report, String> {
    let shared = Shared::new(1);
    let mut report = Report::default();
    // A bare VM knows what exists even when the policy does not load.
    let bare = Policy::empty(shared.clone(), host.clone());
    match Policy::load(file, shared.clone(), host, Mode::Validate) {
        Ok(policy) => {
            fire(&policy, &mut report);
            // What a tree of files of its own has is known to the VM that has loaded them.
            scan(&bare, &policy, file, &mut report);
            report.events = policy.handled_events();
            report.findings.append(&mut policy.vm.ctx.problems.borrow_mut());
            report.said.append(&mut policy.vm.ctx.said.borrow_mut());
        }
        Err(e) => {
            scan(&bare, &bare, file, &mut report);
            report.findings.push(error(&e));
        }
    }
    for text in shared.warnings() {
        // The scan says the same of events, with their places.
        if !text.starts_with("kumo.on:") {
            report.findings.push(Finding::new(Grade::Warning, &text));
        }
    }
    Ok(report)
}

/// Looks at the names the sources use: `bare` has all that the host provides, `loaded` what the tree has loaded.
fn scan(bare: &Policy, loaded: &Policy, file: &Path, report: &mut Report) {
    let mut scan = Scan::new(&bare.vm.lua, &loaded.vm.lua);
    scan.tree(file);
    report.files = scan.files;
    report.findings.append(&mut scan.findings);
}

fn error(e: &PolicyError) -> Finding {
    match e {
        PolicyError::Lua(l) => {
            let mut f = Finding::new(Grade::Error, &l.message);
            if l.event != "load" && !l.event.is_empty() {
                f.text = format!("in `{}`: {}", l.event, f.text);
            }
            f
        }
        other => Finding::new(Grade::Error, &other.to_string()),
    }
}

fn fire(policy: &Policy, report: &mut Report) {
    match block_on(policy.run_init()) {
        Ok(init) => {
            keys(&init, report);
            addresses(&init, report);
            report.init = init;
        }
        Err(e) => report.findings.push(error(&e)),
    }
    match block_on(policy.run_validate()) {
        Ok(true) => {}
        Ok(false) => {
            report.findings.push(Finding::new(Grade::Error, "the policy's own validation failed"))
        }
        Err(e) => report.findings.push(error(&e)),
    }
    let args = (DOMAIN, Value::Nil, Value::Nil, Value::Nil);
    let queue = ask(policy, report, "get_queue_config", args);
    let pool = queue.as_ref().and_then(|q| q.typed::<QueueConfig>()).map(|q| q.egress_pool.clone());
    let mut sources = vec![UNSPECIFIED.to_owned()];
    if let Some(pool) = pool.filter(|p| p != UNSPECIFIED) {
        let found = ask(policy, report, "get_egress_pool", pool.as_str());
        match found.as_ref().and_then(|p| p.typed::<EgressPool>()) {
            Some(p) => sources.extend(p.entries.iter().map(|e| e.name.clone())),
            None if !policy.handles("get_egress_pool") => report.findings.push(Finding::new(
                Grade::Error,
                &format!("queues use pool `{pool}`, but nothing handles `get_egress_pool`"),
            )),
            None => {}
        }
    }
    for source in sources {
        if source != UNSPECIFIED {
            let found = ask(policy, report, "get_egress_source", source.as_str());
            let _ = found.as_ref().and_then(|s| s.typed::<EgressSource>());
        }
        let path = ask(policy, report, "get_egress_path_config", (DOMAIN, source.as_str(), SITE));
        let _ = path.as_ref().and_then(|p| p.typed::<EgressPath>());
    }
}

/// Asks the handlers of a configuration event in order; what fails is a finding.
fn ask(
    policy: &Policy,
    report: &mut Report,
    event: &str,
    args: impl IntoLuaMulti,
) -> Option<OptionObject> {
    let mut found = match block_on(policy.vm.chain(event, args)) {
        Ok(found) => found,
        Err(e) => {
            let mut f = error(&e);
            f.text.push_str(&format!(" (asked about {DOMAIN})"));
            report.findings.push(f);
            return None;
        }
    };
    match found.pop_front()? {
        Value::UserData(u) => u.borrow::<OptionObject>().ok().map(|o| o.clone()),
        Value::Nil => None,
        other => {
            let text = format!(
                "`{event}` returned a {}, not the result of a kumo.make_ call",
                other.type_name()
            );
            report.findings.push(Finding::new(Grade::Error, &text));
            None
        }
    }
}

/// What listeners are told to take must be addresses.
fn addresses(init: &ringmta_options::InitConfig, report: &mut Report) {
    let smtp = init.esmtp_listeners.iter().map(|listener| &listener.listen);
    let http = init.http_listeners.iter().map(|listener| &listener.listen);
    for listen in smtp.chain(http) {
        if let Err(why) = ringmta_options::listen_address(listen) {
            report.findings.push(Finding::new(Grade::Error, &why));
        }
    }
}

/// Key files named in `init` must be there.
fn keys(init: &ringmta_options::InitConfig, report: &mut Report) {
    let smtp = init.esmtp_listeners.iter().flat_map(|l| [&l.tls_certificate, &l.tls_private_key]);
    let http = init.http_listeners.iter().flat_map(|l| [&l.tls_certificate, &l.tls_private_key]);
    for key in smtp.chain(http).flatten() {
        if let KeySource::File(path) = key {
            if !path.exists() {
                let text = format!("key file {} is not there", path.display());
                report.findings.push(Finding::new(Grade::Error, &text));
            }
        }
    }
}

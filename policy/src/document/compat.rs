//! `COMPAT.md`: the contract's entries against what the VM really has.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{IntoLua, Lua, Table, Value};
use ringmta_mail::id::MessageId;
use ringmta_mail::message::{Message, Meta};
use ringmta_options::Support;

use super::tables::{one_line, tables};
use crate::event_table::EVENTS;
use crate::families::configuration::tuning;
use crate::families::refused;
use crate::host::NoHost;
use crate::loading::policy::Policy;
use crate::process::shared::Shared;
use crate::vm::lua_value::{LuaObject, Object};
use crate::{ConnMeta, EnvelopeAddress};

const SURFACE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/contract/surface.txt"));

/// Events of the contract that are not fired, and why.
const OTHER_EVENTS: [(&str, &str); 4] = [
    ("tsa_init", "there is no automation daemon"),
    ("tsa_load_shaping_data", "there is no automation daemon"),
    ("proxy_init", "there is no proxy server"),
    ("proxy_server_auth_rfc1929", "there is no proxy server"),
];

/// Events that have a definition, so that handlers are taken, but no moment in the engine yet.
const NOT_FIRED: [(&str, &str); 2] = [
    ("xfer_message_received", "messages stay on the node that accepted them"),
    ("shutdown_logging", "logs are closed by the engine"),
];

/// A VM without a policy.
pub(super) fn bare() -> Result<Lua, String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ringmta-generate-{}-{number}.lua", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, "require 'kumo'").map_err(|e| e.to_string())?;
    let policy = Policy::load(Path::new(&file), Shared::new(1), Rc::new(NoHost), crate::Mode::Run);
    let _ = std::fs::remove_file(&file);
    Ok(policy.map_err(|e| e.to_string())?.vm.lua.clone())
}

/// A module by its name, or a table below it.
pub(crate) fn module(lua: &Lua, name: &str) -> Option<Table> {
    let require: mlua::Function = lua.globals().get("require").ok()?;
    let (first, rest) = match name.strip_prefix("kumo.") {
        Some(rest) => ("kumo", rest),
        None => (name, ""),
    };
    let mut at: Table = require.call(first).ok()?;
    for part in rest.split('.').filter(|p| !p.is_empty()) {
        at = at.get(part).ok()?;
    }
    Some(at)
}

/// An object of a kind, to ask what it has.
fn sample(lua: &Lua, kind: &str) -> Option<Value> {
    let made =
        |code: &str| lua.load(format!("local kumo = require 'kumo' return {code}")).eval().ok();
    let address = || EnvelopeAddress::parse("a@b.test").ok();
    let message = || -> Option<Message> {
        let body = b"From: A <a@b.test>\r\n\r\nx".to_vec();
        let id = MessageId::new_v1(0, 0, [0; 6]);
        Some(Message::new(id, address()?, vec![address()?], Meta::new(), Rc::new(body)))
    };
    match kind {
        "Message" => Object(message()?).into_lua(lua).ok(),
        "EnvelopeAddress" => Object(address()?).into_lua(lua).ok(),
        "ConnMeta" => Object(ConnMeta::new()).into_lua(lua).ok(),
        "AddressHeader" => {
            let m = Object(message()?).into_lua(lua).ok()?;
            lua.load("local m = ... return m:from_header()").call(m).ok()
        }
        "Throttle" => made("kumo.make_throttle('x', '1/s')"),
        "Shaping" => {
            let shaping = std::sync::Arc::new(crate::families::shaping::merge::Shaping::default());
            LuaObject::to_lua(shaping, lua).ok()
        }
        "HttpClient" => made("kumo.http.build_client {}"),
        "HttpRequest" => made("kumo.http.build_client({}):get 'http://127.0.0.1/'"),
        "HttpResponse" => crate::families::http::response::empty_response().into_lua(lua).ok(),
        "Regex" => made("kumo.regex.compile 'x'"),
        "Time" => made("kumo.time.now()"),
        "MimePart" => made("kumo.mimepart.new_text_plain 'x'"),
        "HeaderMap" => made("kumo.mimepart.parse('A: b\\r\\n\\r\\n').headers"),
        "Header" => made(
            "kumo.mimepart.parse('From: <a@b>; x=y\\r\\n\\r\\n').headers:get_first_named 'From'",
        ),
        "TimeDelta" => made("kumo.time.parse_duration(1)"),
        "WebSocketStream" => crate::families::http::websocket::sample().ok()?.into_lua(lua).ok(),
        "redis" => made("require('redis').open { node = 'redis://127.0.0.1/' }"),
        #[cfg(feature = "sqlite")]
        "sqlite" => crate::families::sqlite::sample().into_lua(lua).ok(),
        _ => None,
    }
}

/// How an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Same,
    Differs,
    NoEffect,
    Refused,
    Absent,
}

impl State {
    const ALL: [State; 5] =
        [State::Same, State::Differs, State::NoEffect, State::Refused, State::Absent];

    fn word(self) -> &'static str {
        match self {
            State::Same => "same",
            State::Differs => "differs",
            State::NoEffect => "no effect",
            State::Refused => "refused",
            State::Absent => "absent",
        }
    }
}

struct Entry {
    family: String,
    tier: char,
    name: String,
    state: State,
    note: String,
    /// Where a check shows it.
    shown: Vec<String>,
}

/// The list, held against the VM.
fn entries(lua: &Lua, shown: &Tags) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    let mut family = String::new();
    let mut has: Box<dyn Fn(&str) -> bool> = Box::new(|_| false);
    for line in SURFACE.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            family = name.to_owned();
            has = lookup(lua, name);
            continue;
        }
        let mut words = line.split(' ');
        let tier = words.next().and_then(|w| w.chars().next()).unwrap_or('C');
        if tier == '!' {
            let name = words.next().unwrap_or("");
            let note: Vec<&str> = words.collect();
            let mine = out.iter_mut().filter(|e| e.family == family && e.name == name);
            for e in mine.filter(|e| e.state == State::Same) {
                e.state = State::Differs;
                e.note = note.join(" ");
            }
            continue;
        }
        for name in words {
            let whole = format!("{family}.{name}");
            let (state, note) = match (refused::why(&whole), tuning::no_effect(&whole)) {
                (Some(why), _) => (State::Refused, why),
                (_, Some(why)) => (State::NoEffect, why),
                _ if has(name) => (State::Same, ""),
                _ => (State::Absent, WHY_ABSENT),
            };
            let note = note.to_owned();
            let shown = shown.get(&whole).cloned().unwrap_or_default();
            let (family, name) = (family.clone(), name.to_owned());
            out.push(Entry { family, tier, name, state, note, shown });
        }
    }
    out
}

fn lookup(lua: &Lua, family: &str) -> Box<dyn Fn(&str) -> bool> {
    // A module and the object it makes may share a family.
    let (module, object, lua) = (module(lua, family), sample(lua, family), lua.clone());
    Box::new(move |name| {
        let in_module = |t: &Table| t.get::<Value>(name).is_ok_and(|v| !v.is_nil());
        let in_object = |o: &Value| {
            // A field that is there may refuse the sample's content.
            let found = lua.load("local o, n = ... return o[n]").call::<Value>((o.clone(), name));
            !found.is_ok_and(|v| v.is_nil())
        };
        module.as_ref().is_some_and(in_module) || object.as_ref().is_some_and(in_object)
    })
}

/// What is said of an entry that is not there.
const WHY_ABSENT: &str = "not written yet";

/// The checks that show an entry, by the entry's whole name: files that say `check('name name', ...)` in Lua or
/// `// shows: name name` in Rust.
type Tags = BTreeMap<String, Vec<String>>;

/// Folders that are searched for checks, below the repository, with all below them.
const CHECKED: [&str; 3] = ["policy/contract/tests", "policy/src", "engine/tests"];

/// The files below a folder, sorted.
fn files_below(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match path.is_dir() {
            true => files_below(&path, out)?,
            false => out.push(path),
        }
    }
    out.sort();
    Ok(())
}

fn tags(root: &Path) -> Result<Tags, String> {
    let mut files = Vec::new();
    for folder in CHECKED {
        files_below(&root.join(folder), &mut files)?;
    }
    let mut out = Tags::new();
    for file in &files {
        // Other files than sources have no tags; an engine's test may bring bytes that are no text.
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in text.lines() {
            let names = ["check('", "check_init('", "// shows: "]
                .iter()
                .find_map(|start| line.trim_start().strip_prefix(start))
                .map_or("", |rest| rest.split('\'').next().unwrap_or(""));
            for entry in names.split_whitespace() {
                let places = out.entry(entry.to_owned()).or_default();
                if !places.contains(&name) {
                    places.push(name.clone());
                }
            }
        }
    }
    Ok(out)
}

/// Entries of the tiers A and B without a check, and checks of entries that the contract does not have.
#[cfg(test)]
pub(super) fn unshown(root: &Path) -> Result<(Vec<String>, Vec<String>), String> {
    let tags = tags(root)?;
    let all = entries(&bare()?, &tags);
    let name = |e: &Entry| format!("{}.{}", e.family, e.name);
    let known: std::collections::BTreeSet<String> = all.iter().map(name).collect();
    let missing = all.iter().filter(|e| e.tier != 'C' && e.shown.is_empty()).map(name).collect();
    Ok((missing, tags.into_keys().filter(|t| !known.contains(t)).collect()))
}

pub(super) fn page(root: &Path) -> Result<String, String> {
    let lua = bare()?;
    let entries = entries(&lua, &tags(root)?);
    let mut out = String::from(
        "<!-- Generated by `cargo run -p ringmta-policy --example generate`: do not edit. -->\n\n\
         # Compatibility\n\n\
         Every function, method, field, event and option a policy tree may use, and how it stands here. What is called \"same\" was \
         found in the running VM; \"shown by\" names the files with the checks that exercise it; \"refused\" raises an error that says why; \"no effect\" is taken with one warning.\n\n\
         ## Functions, methods and fields\n\n",
    );
    counts(&mut out, &entries);
    let mut family = "";
    for e in &entries {
        if e.family != family {
            family = &e.family;
            let _ = write!(
                out,
                "\n### {family}\n\n| name | tier | state | shown by | note |\n|---|---|---|---|---|\n"
            );
        }
        let (state, shown) = (e.state.word(), e.shown.join(", "));
        let _ = writeln!(out, "| `{}` | {} | {state} | {shown} | {} |", e.name, e.tier, e.note);
    }
    events(&mut out);
    options(&mut out);
    Ok(out)
}

fn counts(out: &mut String, entries: &[Entry]) {
    let mut by: BTreeMap<(char, State), usize> = BTreeMap::new();
    for e in entries {
        *by.entry((e.tier, e.state)).or_default() += 1;
    }
    let words: Vec<&str> = State::ALL.iter().map(|s| s.word()).collect();
    let _ = writeln!(out, "| tier | all | {} |\n|---|---|---|---|---|---|---|", words.join(" | "));
    for tier in ['A', 'B', 'C'] {
        let n: Vec<usize> =
            State::ALL.iter().map(|s| by.get(&(tier, *s)).copied().unwrap_or(0)).collect();
        let text: Vec<String> = n.iter().map(usize::to_string).collect();
        let _ = writeln!(out, "| {tier} | {} | {} |", n.iter().sum::<usize>(), text.join(" | "));
    }
}

fn events(out: &mut String) {
    out.push_str("\n## Events\n\n| event | state | note |\n|---|---|---|\n");
    for e in EVENTS {
        match NOT_FIRED.iter().find(|(name, _)| *name == e.name) {
            Some((_, why)) => {
                let _ = writeln!(out, "| `{}` | not fired | {why} |", e.name);
            }
            None => {
                let _ = writeln!(out, "| `{}` | same | {} |", e.name, one_line(e.doc));
            }
        }
    }
    out.push_str(
        "| `log_disposition_<name>` | same | a record was made, with its message at hand |\n",
    );
    for (name, why) in OTHER_EVENTS {
        let _ = writeln!(out, "| `{name}` | absent | {why} |");
    }
}

fn options(out: &mut String) {
    out.push_str(
        "\n## Options\n\nOptions that are not listed work as the reference says.\n\n\
         | table | options | honoured | no effect | refused |\n|---|---|---|---|---|\n",
    );
    let mut rest = String::from("\n| table | option | state | note |\n|---|---|---|---|\n");
    for t in tables() {
        let (mut quiet, mut refused) = (0, 0);
        for def in t.options {
            let (state, note) = match def.support {
                Support::NoEffect(why) => ("no effect", why),
                Support::Refused => ("refused", "any value but the default"),
                _ => continue,
            };
            match def.support {
                Support::Refused => refused += 1,
                _ => quiet += 1,
            }
            let _ = writeln!(rest, "| `{}` | `{}` | {state} | {note} |", t.call, def.name);
        }
        let all = t.options.len();
        let honoured = all - quiet - refused;
        let _ = writeln!(out, "| `{}` | {all} | {honoured} | {quiet} | {refused} |", t.call);
    }
    out.push_str(&rest);
    // Of the engine's face to clients no table here knows.
    out.push('\n');
    out.push_str(include_str!("api.md"));
}

//! What is generated from the option tables and the live VM: annotations for editors, reference pages, and the table of what is
//! the same as in the contract, what differs and what is missing. Nothing here can claim what the VM does not have.

mod compat;
mod lua_types;
mod reference;

use std::path::{Path, PathBuf};

use crate::options::*;

/// One option table: the function that takes it, and its options.
pub struct TableDef {
    /// `kumo.make_queue_config`.
    pub call: &'static str,
    /// Name of the class in annotations.
    pub class: &'static str,
    /// Its options.
    pub options: &'static [OptionDef],
}

fn table<T: OptionTable>(class: &'static str) -> TableDef {
    TableDef { call: T::CALL, class, options: T::OPTIONS }
}

/// All option tables.
pub fn tables() -> Vec<TableDef> {
    vec![
        table::<EsmtpListener>("EsmtpListenerOptions"),
        table::<HttpListener>("HttpListenerOptions"),
        table::<Spool>("SpoolOptions"),
        table::<LocalLogs>("LocalLogsOptions"),
        table::<RecordParams>("RecordOptions"),
        table::<LogHook>("LogHookOptions"),
        table::<HttpLogHook>("HttpLogHookOptions"),
        table::<QueueConfig>("QueueOptions"),
        table::<EgressPath>("EgressPathOptions"),
        table::<EgressSource>("EgressSourceOptions"),
        table::<EgressPool>("EgressPoolOptions"),
        table::<PoolEntry>("PoolEntryOptions"),
        table::<ListenerDomain>("ListenerDomainOptions"),
        table::<DkimSigner>("DkimSignerOptions"),
        table::<crate::kumo::classifier::BounceClassifier>("BounceClassifierOptions"),
        table::<crate::options::ResolverConfig>("ResolverOptions"),
        table::<crate::options::NamedResolverConfig>("NamedResolverOptions"),
        table::<crate::options::ResolverOptions>("ResolverTuning"),
        table::<crate::kumo::memoize::MemoizeParams>("MemoizeOptions"),
        table::<crate::kumo::http::ClientParams>("HttpClientOptions"),
        table::<crate::shaping::ShapingOptions>("ShapingOptions"),
        table::<crate::delivery_status::DsnParams>("DsnOptions"),
        table::<crate::amqp::AmqpMessage>("AmqpPublishOptions"),
        table::<crate::amqp::AmqpConnection>("AmqpConnectionOptions"),
        table::<crate::kafka::KafkaRecord>("KafkaRecordOptions"),
        table::<crate::nats::NatsParams>("NatsOptions"),
        table::<crate::redis::RedisParams>("RedisOptions"),
        table::<crate::kumo::shared_objects::SeriesParams>("CounterSeriesOptions"),
        table::<crate::kumo::crypto::AwsParams>("AwsSignOptions"),
    ]
}

/// Every generated file, by its path below the repository `root`, with its text.
pub fn files(root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut out = vec![(PathBuf::from("COMPAT.md"), compat::page(root)?)];
    out.push(("policy/types/kumo.lua".into(), lua_types::kumo()?));
    out.push(("policy/types/options.lua".into(), lua_types::options()));
    out.extend(reference::pages());
    Ok(out)
}

/// Default of an option as a policy would write it; nothing when there is none.
fn default_text(def: &OptionDef) -> String {
    let json = (def.default)();
    match &json {
        crate::plain::Plain::Nil => String::new(),
        crate::plain::Plain::List(l) if l.is_empty() => "{}".into(),
        other => match other.to_json() {
            serde_json::Value::String(s) if s.is_empty() => String::new(),
            v => v.to_string(),
        },
    }
}

/// One line of documentation.
fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn checks_show_every_entry_that_real_policies_use() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (missing, unknown) = super::compat::unshown(&root).unwrap();
        assert!(missing.is_empty(), "entries of tier A or B without a check: {missing:?}");
        assert!(unknown.is_empty(), "checks of entries the contract does not have: {unknown:?}");
    }

    /// As lua-language-server reads them: Lua, with annotations whose types are built-in or declared.
    #[test]
    fn annotations_are_well_formed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("types");
        let files = ["kumo.lua", "options.lua"];
        let texts = files.map(|f| std::fs::read_to_string(folder.join(f)).unwrap());
        let whole = texts.concat();
        let classes: Vec<&str> =
            whole.lines().filter_map(|l| l.strip_prefix("---@class ")).collect();
        let atom = r"(?:fun\((?:[^()]|\([^()]*\))*\)(?:: [\w.]+)?|table<[\w.]+, [\w.]+>|[\w.]+(?:\[\])?|'[^']+')";
        let kind = format!(r"{atom}(?:\|{atom})*");
        let line = regex::Regex::new(&format!(
            r"^---@(?:meta|class [\w.]+|(?:field|param) \w+\?? {kind}(?: .+)?|(?:overload|type) {kind}|deprecated .+)$"
        ))
        .unwrap();
        let named = regex::Regex::new(r"\bkumo\.\w+").unwrap();
        let lua = mlua::Lua::new();
        for (file, text) in files.iter().zip(&texts) {
            lua.load(text.as_str()).into_function().unwrap();
            for l in text.lines().filter(|l| l.starts_with("---@")) {
                assert!(line.is_match(l), "{file}: {l}");
                let types = l.split_whitespace().nth(2).unwrap_or("");
                for name in named.find_iter(types) {
                    assert!(classes.contains(&name.as_str()), "{file}: {l}: no such class");
                }
            }
        }
    }

    /// The committed files are what `cargo run -p ringmta-policy --example generate` would write; with RINGMTA_GENERATE set,
    /// writes them first.
    #[test]
    fn generated_files_are_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in super::files(&root).unwrap() {
            if std::env::var_os("RINGMTA_GENERATE").is_some() {
                std::fs::write(root.join(&path), &text).unwrap();
            }
            let committed = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
            assert!(
                committed == text,
                "{} is not what is generated: run `cargo run -p ringmta-policy --example generate`",
                path.display()
            );
        }
    }
}

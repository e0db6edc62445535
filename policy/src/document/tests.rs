//! The generated files are what they should be.

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
    let files = ["kumo.lua", "options.lua", "objects.lua"];
    let texts = files.map(|f| std::fs::read_to_string(folder.join(f)).unwrap());
    let whole = texts.concat();
    let classes: Vec<&str> = whole.lines().filter_map(|l| l.strip_prefix("---@class ")).collect();
    let atom = r"(?:fun\((?:[^()]|\([^()]*\))*\)(?:: [\w.]+)?|table<[\w.]+, [\w.]+>|[\w.]+(?:\[\])?|'[^']+')";
    let kind = format!(r"{atom}(?:\|{atom})*");
    let line = regex::Regex::new(&format!(
        r"^---@(?:meta|class [\w.]+|(?:field|param) (?:\w+\??|\.\.\.) {kind}(?: .+)?|return {kind}|(?:overload|type) {kind}|deprecated .+)$"
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

/// Every method and field of the objects that handlers get has its annotation.
#[test]
fn objects_are_annotated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let types = std::fs::read_to_string(root.join("types/objects.lua")).unwrap();
    let surface = std::fs::read_to_string(root.join("contract/surface.txt")).unwrap();
    let mut seen = 0;
    for object in [
        "Message",
        "EnvelopeAddress",
        "AddressHeader",
        "ConnMeta",
        "Throttle",
        "HttpClient",
        "HttpRequest",
        "HttpResponse",
    ] {
        let family = surface.split(&format!("[{object}]\n")).nth(1).unwrap();
        let family = family.split("\n[").next().unwrap();
        let lines = family.lines().filter(|line| !line.starts_with('!'));
        let class = types.split(&format!("---@class kumo.{object}\n")).nth(1).unwrap();
        let class = class.split("---@class").next().unwrap();
        for name in lines.flat_map(|line| line.split_whitespace().skip(1)) {
            let method = format!("function {object}:{name}(");
            let field = format!("---@field {name} ");
            assert!(class.contains(&method) || class.contains(&field), "{object}: {name}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// Every function that a helper offers has its parameters annotated, so that an editor shows them.
#[test]
fn helpers_are_annotated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let head = regex::Regex::new(r"^function (?:mod|test|session)[.:](\w+)\((.*)\)").unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("lua/policy-extras")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut before: Vec<&str> = Vec::new();
        for line in text.lines() {
            if line.starts_with("---") {
                before.push(line);
                continue;
            }
            if let Some(found) = head.captures(line) {
                let at = format!("{}: {}", path.display(), &found[1]);
                assert!(before.first().is_some_and(|l| !l.starts_with("---@")), "{at}: no text");
                for name in found[2].split(", ").filter(|name| !name.is_empty()) {
                    let with = [format!("---@param {name} "), format!("---@param {name}? ")];
                    let is_told = |l: &&str| with.iter().any(|w| l.starts_with(w.as_str()));
                    assert!(before.iter().any(is_told), "{at}: {name}");
                }
                seen += 1;
            }
            before.clear();
        }
    }
    assert!(seen > 30, "{seen}");
    let types = std::fs::read_to_string(root.join("types/test.lua")).unwrap();
    let text = std::fs::read_to_string(root.join("lua/test.lua")).unwrap();
    for found in text.lines().filter_map(|line| head.captures(line)) {
        let name = &found[1];
        let of = if found[0].contains("session:") { "Session:" } else { "test." };
        assert!(types.contains(&format!("function {of}{name}(")), "test.lua: {of}{name}");
    }
}

/// The committed files are what `cargo run -p ringmta-policy --example generate` would write; with RINGMTA_GENERATE set,
/// writes them first.
#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in super::files::files(&root).unwrap() {
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

/// Sources below a folder.
fn sources(folder: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, out),
            false => out.push(std::fs::read_to_string(path).unwrap()),
        }
    }
}

#[test]
fn every_option_table_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    ["src", "options/src"].iter().for_each(|folder| sources(&root.join(folder), &mut texts));
    let declared = regex::Regex::new(r#"pub struct (\w+) for "([^"]+)""#).unwrap();
    let known: Vec<&str> = super::tables::tables().iter().map(|table| table.call).collect();
    let missing: Vec<&str> = texts
        .iter()
        .flat_map(|text| declared.captures_iter(text))
        .filter_map(|found| found.get(2).map(|call| call.as_str()))
        .filter(|call| !known.contains(call))
        .collect();
    assert!(missing.is_empty(), "tables that document::tables does not list: {missing:?}");
}

/// Paths of all functions of the module.
fn functions_of(path: &str, t: &mlua::Table, out: &mut Vec<String>) {
    for pair in t.pairs::<String, mlua::Value>() {
        match pair.unwrap() {
            (name, mlua::Value::Function(_)) => out.push(format!("{path}.{name}")),
            (name, mlua::Value::Table(inner)) => {
                functions_of(&format!("{path}.{name}"), &inner, out)
            }
            _ => {}
        }
    }
}

#[test]
fn every_function_is_declared() {
    use crate::families::{configuration::tuning::no_effect, refused::why_here};
    let vm = super::compat::bare().unwrap();
    let mut there = Vec::new();
    functions_of("kumo", &super::compat::module(&vm, "kumo").unwrap(), &mut there);
    let takes_options = |path: &str| super::tables::tables().iter().any(|t| t.call == path);
    let missing: Vec<&String> = there
        .iter()
        // `kumo.on` has an overload for each event.
        .filter(|path| *path != "kumo.on" && !takes_options(path))
        .filter(|path| why_here(path).is_none() && no_effect(path).is_none())
        .filter(|path| super::functions::declared(path).is_none())
        .collect();
    assert!(missing.is_empty(), "functions that no family declares: {missing:?}");
    let all = super::functions::all().flat_map(|def| def.paths());
    let gone: Vec<String> = all.filter(|path| !there.contains(path)).collect();
    assert!(gone.is_empty(), "declared functions that a VM does not have: {gone:?}");
}

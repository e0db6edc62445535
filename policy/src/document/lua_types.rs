//! Annotations for lua-language-server.

use std::fmt::Write;

use mlua::{Table, Value};
use ringmta_options::Support;

use super::functions;
use super::tables::{default_text, one_line, tables};
use crate::event_table::EVENTS;
use crate::families::refused;
use crate::vm::declared::FnDef;

const HEAD: &str = "---@meta\n-- Generated from the option tables of ringmta: do not edit.\n\n";

/// One class per option table.
pub(super) fn options() -> String {
    let mut out = HEAD.to_owned();
    for t in tables() {
        let _ = writeln!(out, "---Options of `{}`.\n---@class kumo.{}", t.call, t.class);
        for def in t.options {
            let optional = if def.support == Support::Required { "" } else { "?" };
            let mut doc = one_line(def.doc);
            let default = default_text(def);
            if !default.is_empty() {
                let _ = write!(doc, " Default: {default}.");
            }
            match def.support {
                Support::Refused => doc.push_str(" Not supported yet."),
                Support::NoEffect(why) => {
                    let _ = write!(doc, " No effect: {why}.");
                }
                _ => {}
            }
            let _ = writeln!(out, "---@field {}{optional} {} {doc}", def.name, def.lua_type);
        }
        out.push('\n');
    }
    out
}

/// The module: functions as the VM has them, events as overloads of `kumo.on`.
pub(super) fn kumo() -> Result<String, String> {
    let mut out = HEAD.to_owned();
    out.push_str("---@class kumo\nlocal kumo = {}\n\n");
    for e in EVENTS {
        let args = e.args.split(", ").filter(|a| !a.is_empty()).map(|a| match a {
            "..." => "...: any".to_owned(),
            a => format!("{a}: {}", type_of(e.name, a)),
        });
        let args: Vec<String> = args.collect();
        let _ = writeln!(
            out,
            "---{}.\n---@overload fun(event: '{}', handler: fun({}): any)",
            one_line(e.doc),
            e.name,
            args.join(", ")
        );
    }
    out.push_str("---@param event string\n---@param handler function\nfunction kumo.on(event, handler) end\n\n");
    let vm = super::compat::bare()?;
    let module: Table = super::compat::module(&vm, "kumo").ok_or("the module kumo")?;
    module_functions("kumo", &module, &mut out);
    out.push_str("return kumo\n");
    Ok(out)
}

/// The type of an event's argument, by its name: those of one name are of one kind.
fn type_of(event: &str, arg: &str) -> &'static str {
    match arg {
        "msg" => "kumo.Message",
        "conn_meta" => "kumo.ConnMeta",
        "auth_info" => "kumo.AuthInfo",
        "sender" => "kumo.EnvelopeAddress",
        "recipient" if event == "smtp_server_rcpt_to" => "kumo.EnvelopeAddress",
        "domain" | "name" | "source" | "site" | "user" | "password" | "token" | "authz"
        | "authc" | "resource" | "hook" | "listener" => "string",
        // May be nil.
        "tenant" | "campaign" | "routing_domain" if event != "get_egress_path_config" => {
            "string|nil"
        }
        "routing_domain" => "string",
        _ => "any",
    }
}

fn module_functions(path: &str, t: &Table, out: &mut String) {
    let mut items: Vec<(String, Value)> =
        t.pairs::<String, Value>().filter_map(Result::ok).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in items {
        let whole = format!("{path}.{name}");
        match value {
            Value::Table(inner) => {
                let _ = writeln!(out, "{whole} = {{}}\n");
                module_functions(&whole, &inner, out);
            }
            Value::Function(_) if whole == "kumo.on" => {}
            Value::Function(_) => {
                if let Some(def) = functions::declared(&whole) {
                    declared_function(&whole, def, out);
                    continue;
                }
                let table = tables().into_iter().find(|t| t.call == whole);
                let (param, args) = match &table {
                    Some(t) => (with_options(&whole, t.class), "options"),
                    None => (String::new(), "..."),
                };
                if let Some(why) = refused::why(&whole) {
                    let _ = writeln!(out, "---@deprecated Not supported: {why}.");
                }
                let _ = writeln!(out, "{param}function {whole}({args}) end\n");
            }
            Value::String(_) => {
                let _ = writeln!(out, "---@type string\n{whole} = ''\n");
            }
            _ => {}
        }
    }
}

/// Classes of what functions that take options give; of others it is anything.
const RESULTS: [(&str, &str); 1] = [("kumo.http.build_client", "kumo.HttpClient")];

/// Functions that take something else than their options as well.
const LOOSE: [&str; 1] = ["kumo.dns.configure_resolver"];

/// The parameter and the result of a function that takes options. What sets something up gives nothing.
fn with_options(path: &str, class: &str) -> String {
    let more = if LOOSE.contains(&path) { "|table|string" } else { "" };
    let param = format!("---@param options kumo.{class}{more}\n");
    let name = path.rsplit('.').next().unwrap_or(path);
    let sets_up = ["configure_", "define_", "start_", "basic_publish"];
    if sets_up.iter().any(|verb| name.starts_with(verb)) {
        return param;
    }
    let result = RESULTS.iter().find(|(call, _)| *call == path).map_or("any", |(_, class)| class);
    format!("{param}---@return {result}\n")
}

fn declared_function(path: &str, def: &FnDef, out: &mut String) {
    let _ = writeln!(out, "---{}", one_line(def.doc));
    let args = functions::args(def);
    for (name, kind) in &args {
        let _ = writeln!(out, "---@param {name} {kind}");
    }
    if !def.result.is_empty() {
        let _ = writeln!(out, "---@return {}", def.result);
    }
    let names: Vec<&str> = args.iter().map(|(name, _)| name.trim_end_matches('?')).collect();
    let _ = writeln!(out, "function {path}({}) end\n", names.join(", "));
}

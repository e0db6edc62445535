//! Reference pages: one per option table, one for events, one for functions.

use std::fmt::Write;
use std::path::PathBuf;

use ringmta_options::Support;

use super::tables::{default_text, one_line, tables, TableDef};
use crate::event_table::EVENTS;

const NOTE: &str = "<!-- Generated from the option tables: do not edit. -->\n\n";

/// File name of a table's page: links and the book take no names with spaces.
fn file(t: &TableDef) -> String {
    format!("{}.md", t.call.trim_start_matches("kumo.").replace(' ', "_"))
}

pub(super) fn pages() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from("policy/reference");
    let mut out = vec![
        (folder.join("README.md"), index()),
        (folder.join("events.md"), events()),
        (folder.join("functions.md"), functions()),
    ];
    out.extend(tables().iter().map(|t| (folder.join(file(t)), page(t))));
    out
}

fn index() -> String {
    let mut out =
        format!("{NOTE}# Policy reference\n\n- [Events](events.md)\n- [Functions](functions.md)\n");
    for t in tables() {
        let _ = writeln!(out, "- [`{}`]({}): {} options", t.call, file(&t), t.options.len());
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page(t: &TableDef) -> String {
    let mut out = format!(
        "{NOTE}# `{}`\n\n| option | type | default | what it does |\n|---|---|---|---|\n",
        t.call
    );
    for def in t.options {
        let mut doc = one_line(def.doc);
        match def.support {
            Support::Required => doc.push_str(" **Required.**"),
            Support::Refused => doc.push_str(" **Refused** unless it is the default."),
            Support::NoEffect(why) => {
                let _ = write!(doc, " *No effect*: {why}.");
            }
            Support::Honoured => {}
        }
        let default = default_text(def);
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            def.name,
            cell(def.type_name),
            cell(&default),
            cell(&doc)
        );
    }
    out
}

fn events() -> String {
    let mut out =
        format!("{NOTE}# Events\n\n| event | arguments | handlers | when |\n|---|---|---|---|\n");
    for e in EVENTS {
        let many = if e.multi { "in order, until one answers" } else { "the last registered" };
        let _ = writeln!(out, "| `{}` | {} | {many} | {} |", e.name, e.args, one_line(e.doc));
    }
    out
}

fn functions() -> String {
    let mut out = format!(
        "{NOTE}# Functions\n\nWhat functions with an option table take is under Options.\n\n| function | arguments | results | what it does |\n|---|---|---|---|\n"
    );
    for def in super::functions::all() {
        let paths: Vec<String> = def.paths().iter().map(|path| format!("`{path}`")).collect();
        let code = |text: &str| match text {
            "" => String::new(),
            text => format!("`{}`", cell(text)),
        };
        let (args, result) = (code(def.args), code(def.result));
        let _ = writeln!(
            out,
            "| {} | {args} | {result} | {} |",
            paths.join("<br>"),
            cell(&one_line(def.doc))
        );
    }
    out
}

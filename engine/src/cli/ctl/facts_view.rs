//! The machine, what operators have set, and the engine's look at itself, for people.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::words::{facts, many, moment, octets, plain, text, texts};
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Value};

/// The machine and the process.
pub fn machine(answer: &Value, paint: Paint) -> String {
    let name = |field: &str| text(answer, field);
    let memory = answer["total_memory_bytes"].as_u64().map(octets).unwrap_or_default();
    facts(
        &format!("{} {} on {}", name("process_kind"), name("version"), name("hostname")),
        &[
            ("since", moment(&answer["online_since"])),
            ("node", name("node_id")),
            (
                "system",
                format!("{} {}", name("distribution"), name("os_version")).trim().to_string(),
            ),
            ("kernel", format!("{} {}", name("kernel_version"), name("platform"))),
            ("container", name("container_runtime")),
            ("processor", name("cpu_brand")),
            ("cores", plain(&answer["num_cores"])),
            ("memory", memory),
            ("address", name("mac_address")),
            ("fingerprint", name("fingerprint")),
        ],
        paint,
    )
}

/// What operators have set over restarts.
pub fn settings(answer: &Value, sort: &Sort) -> String {
    const HEADINGS: [&str; 4] = ["setting", "value", "by", "when"];
    sort.know(&HEADINGS);
    let rows: Vec<Vec<String>> = answer
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, set)| set.is_object())
        .map(|(name, set)| {
            let millis = set["at_millis"].as_u64().unwrap_or(0);
            let when = moment(&json!(rfc3339(millis * 1_000_000)));
            vec![clean(&name.replace('_', " ")), plain(&set["value"]), text(set, "by"), when]
        })
        .collect();
    match rows.is_empty() {
        true => "operators have set nothing".into(),
        false => sort.table(&HEADINGS, rows, usize::MAX),
    }
}

/// Whether everything is where it should be, and what each shard has, with the sum.
pub fn self_check(answer: &Value, sort: &Sort, paint: Paint) -> String {
    const HEADINGS: [&str; 7] =
        ["shard", "messages", "timer", "scheduled", "ready", "in hand", "at work"];
    const FIELDS: [&str; 6] = ["messages", "timer", "scheduled", "ready", "in_hand", "work"];
    let shards = answer["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows = Vec::new();
    let mut sums = [0; FIELDS.len()];
    for shard in shards {
        let mut row = vec![plain(&shard["shard"])];
        for (sum, field) in sums.iter_mut().zip(FIELDS) {
            let number = shard[field].as_u64().unwrap_or(0);
            *sum += number;
            row.push(number.to_string());
        }
        rows.push(row);
    }
    let problems = texts(&answer["problems"]);
    let mut lines = match (answer["ok"] == true, problems.is_empty()) {
        (true, _) => {
            let all = many(sums[0], "message");
            vec![paint.good(&format!("all is well: {all}, each in exactly one place"))]
        }
        (false, true) => vec![paint.bad("something is wrong")],
        (false, false) => problems.iter().map(|problem| paint.bad(problem)).collect(),
    };
    lines.push(String::new());
    lines.push(sort.table(&HEADINGS, rows, usize::MAX));
    if shards.len() > 1 {
        let sums: Vec<String> =
            HEADINGS[1..].iter().zip(sums).map(|(name, sum)| format!("{name} {sum}")).collect();
        lines.push(format!("in all: {}", sums.join(", ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_in_lines() {
        let answer = json!({
            "process_kind": "ringmta", "version": "0.1.0", "hostname": "mx1", "online_since": "2026-01-02T03:04:05.6Z",
            "distribution": "Debian GNU/Linux", "os_version": "12", "kernel_version": "6.1", "platform": "linux/x86_64",
            "num_cores": 2, "total_memory_bytes": 8_000_000_000_u64, "container_runtime": null, "node_id": "n",
        });
        let wanted = "ringmta 0.1.0 on mx1\n  since   2026-01-02 03:04:05\n  node    n\n  system  Debian GNU/Linux 12\n  \
                      kernel  6.1 linux/x86_64\n  cores   2\n  memory  8.0 GB";
        assert_eq!(machine(&answer, Paint::none()), wanted);
    }

    #[test]
    fn settings_with_who_and_when() {
        let answer = json!({"config_epoch": null, "log_filter": {"value": "info", "by": "ops", "at_millis": 1_767_323_045_678_u64}});
        let wanted = "setting     value  by   when\nlog filter  info   ops  2026-01-02 03:04:05";
        assert_eq!(settings(&answer, &Sort::default()), wanted);
        let none = json!({"config_epoch": null, "log_filter": null});
        assert_eq!(settings(&none, &Sort::default()), "operators have set nothing");
    }

    #[test]
    fn a_self_check_is_summed_over_shards() {
        let shard = |index: u64| json!({"shard": index, "messages": 2, "timer": 1, "scheduled": 0, "ready": 1, "in_hand": 0, "work": 0});
        let mut answer = json!({"ok": true, "problems": [], "shards": [shard(0), shard(1)]});
        let wanted = "all is well: 4 messages, each in exactly one place\n\n\
                      shard  messages  timer  scheduled  ready  in hand  at work\n    \
                      0         2      1          0      1        0        0\n    \
                      1         2      1          0      1        0        0\n\
                      in all: messages 4, timer 2, scheduled 0, ready 2, in hand 0, at work 0";
        assert_eq!(self_check(&answer, &Sort::default(), Paint::none()), wanted);
        answer["ok"] = json!(false);
        answer["problems"] = json!(["shard 0: message 1 lies in two places"]);
        let text = self_check(&answer, &Sort::default(), Paint::none());
        assert!(text.starts_with("shard 0: message 1 lies in two places\n"), "{text}");
    }
}

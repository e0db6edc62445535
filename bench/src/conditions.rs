//! Where and how something was measured: without it a figure says nothing.

use serde_json::{json, Value};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Machine, kernel, disk, commit and settings.
pub fn read(settings: &str, bin: &Path) -> Value {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.lines().next().and_then(|line| line.split_ascii_whitespace().nth(1));
    let memory = kilobytes.and_then(|kb| kb.parse::<f64>().ok());
    let ringmta = bin.join("ringmta").display().to_string();
    let postfix = "PATH=$PATH:/usr/sbin postconf -d mail_version";
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gb": memory.map(|kilobytes| (kilobytes * 1024.0 / 1e8).round() / 10.0),
        "kernel": said("uname", &["-sr"]),
        "disk": disk(),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "ringmta": said(&ringmta, &["--version"]),
        "postfix": said("sh", &["-c", postfix]).map(|text| text.replace("mail_version = ", "")),
        "settings": settings,
        "load_before": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    })
}

/// File system and device of the folder where engines keep their spool.
fn disk() -> Option<String> {
    let said = Command::new("findmnt")
        .args(["-no", "FSTYPE,SOURCE,OPTIONS", "--target", "/var/tmp"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut words = text.split_ascii_whitespace();
    let (kind, device, options) = (words.next()?, words.next()?, words.next().unwrap_or(""));
    let name = Path::new(device).file_name()?.to_string_lossy().into_owned();
    let queue = |file: &str| {
        // A partition's queue is that of its disk.
        let own = format!("/sys/class/block/{name}/queue/{file}");
        let whole = format!("/sys/class/block/{name}/../queue/{file}");
        let text = fs::read_to_string(own).or_else(|_| fs::read_to_string(whole)).ok()?;
        Some(text.trim().to_string())
    };
    let cache = queue("write_cache").map_or(String::new(), |cache| format!(", cache {cache}"));
    let turns = match queue("rotational").as_deref() {
        Some("1") => ", rotational",
        Some("0") => ", not rotational",
        _ => "",
    };
    Some(format!("{kind} ({options}) on {device}{cache}{turns}"))
}

/// The same for people, a line each.
pub fn text(conditions: &Value) -> String {
    let mut out = String::new();
    for (name, value) in conditions.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        if value != "null" && !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {name:<12} {value}");
        }
    }
    out
}

/// The same in one line, for a picture.
pub fn caption(conditions: &Value) -> String {
    let word = |name: &str| match &conditions[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let disk = word("disk");
    let kind = disk.split(' ').next().unwrap_or("").to_string();
    let cores = format!("{} cores", word("cores"));
    let parts = [word("cpu"), cores, word("kernel"), kind, word("commit")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let conditions = read("--short", Path::new("/nonexistent"));
        let text = text(&conditions);
        assert!(text.contains("kernel") && text.contains("--short"), "{text}");
        assert!(!text.contains("null"), "{text}");
        assert!(caption(&conditions).contains("Linux"), "{conditions}");
    }
}

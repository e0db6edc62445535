//! Mail that is put into Maildirs on this host.

use crate::support::{message, wait, without_trace, Site};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A site whose mail goes to Maildirs below `mail` of its folder.
fn site(template: &str, more: &str) -> Site {
    let mut site = Site::new();
    let top = site.dir().join("mail");
    std::fs::create_dir(&top).unwrap();
    site.args.extend(["--may-write".into(), top.display().to_string()]);
    site.queue = format!(
        "protocol = {{ maildir_path = '{}/{template}', {more} }}, retry_interval = '1 hour',",
        top.display()
    );
    site
}

/// The messages in a folder of the Maildir `below`.
fn files(site: &Site, below: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(site.dir().join("mail").join(below));
    folder.map_or_else(|_| Vec::new(), |all| all.map(|file| file.unwrap().path()).collect())
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn each_recipient_has_a_folder() {
    let mut site = site("{{ domain_part }}/{{ local_part }}", "dir_mode = 509, file_mode = 436");
    site.listener = "batch_handling = 'BatchByDomain',".into();
    let engine = site.start(2);
    let data = message("stored");
    engine.accept("a@src.test", &["one@box.test", "two@box.test"], &data);
    engine.wait_empty();
    for name in ["one", "two"] {
        let stored = files(&site, &format!("box.test/{name}/new"));
        assert_eq!(stored.len(), 1, "{name}");
        assert_eq!(without_trace(&std::fs::read(&stored[0]).unwrap()), data);
        assert_eq!((mode(&stored[0]), mode(stored[0].parent().unwrap())), (0o664, 0o775));
        assert!(files(&site, &format!("box.test/{name}/tmp")).is_empty());
    }
    wait("two records", || site.records_of("Delivery").len() == 2);
    for record in site.records_of("Delivery") {
        let top = site.dir().join("mail");
        let at = format!(
            "unspecified->box.test@maildir:{}/{{{{ domain_part }}}}/{{{{ local_part }}}}",
            top.display()
        );
        assert_eq!(
            (&record["site"], &record["delivery_protocol"]),
            (&json!(at), &json!("Maildir"))
        );
        assert_eq!(record["response"]["code"], 200);
        let text = record["response"]["content"].as_str().unwrap();
        let id = text.strip_prefix("wrote to maildir with id=").unwrap();
        let found =
            files(&site, "box.test/one/new").into_iter().chain(files(&site, "box.test/two/new"));
        assert!(
            found.map(|path| path.file_name().unwrap().to_owned()).any(|name| *name == *id),
            "{text}"
        );
    }
}

#[test]
fn no_recipient_names_another_folder() {
    let site = site("{{ local_part }}", "");
    let engine = site.start(1);
    engine.accept("a@src.test", &["\"../../evil\"@box.test"], &message("evil"));
    let bounce = site.wait_record("Bounce", |_| true);
    let text = bounce["response"]["content"].as_str().unwrap();
    assert!(text.ends_with("cannot be the name of a maildir"), "{bounce}");
    engine.wait_empty();
    assert!(!site.dir().join("evil").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_tried_again_in_a_minute() {
    let site = site("u", "");
    std::fs::write(site.dir().join("mail/u"), "in the way").unwrap();
    let engine = site.start(1);
    let id = engine.accept("a@src.test", &["u@box.test"], &message("later")).remove(0);
    let failure = site.wait_record("TransientFailure", |_| true);
    let text = failure["response"]["content"].as_str().unwrap();
    assert!(text.starts_with("KumoMTA internal: failed to write to maildir "), "{failure}");
    assert_eq!(failure["response"]["code"], 400);
    let path = format!("/api/admin/inspect-message/v1?id={id}");
    wait("its due time", || {
        let found = engine.get(&path).expect(200).json()["message"].clone();
        let due = found["due"].as_str().and_then(unix_secs).unwrap_or(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        // Not in the hour that the queue's schedule says.
        due > 0 && due <= now.as_secs() + 60
    });
    drop(engine);
}

/// Seconds of the Unix epoch of a time such as `2026-11-28T01:53:07Z`.
fn unix_secs(text: &str) -> Option<u64> {
    let seconds = std::process::Command::new("date").args(["-u", "-d", text, "+%s"]).output();
    String::from_utf8(seconds.ok()?.stdout).ok()?.trim().parse().ok()
}

#[test]
fn a_folder_outside_of_the_confinement_is_told_so() {
    let mut site = site("u", "");
    // Without the folder that `--may-write` names.
    site.args.truncate(1);
    let engine = site.start(1);
    if !engine.says("confined: ") {
        return println!("skipped: this kernel has no Landlock");
    }
    engine.accept("a@src.test", &["u@box.test"], &message("confined"));
    let failure = site.wait_record("TransientFailure", |_| true);
    assert!(failure["response"]["content"].as_str().unwrap().contains("--may-write"), "{failure}");
    drop(engine);
}

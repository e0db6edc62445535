//! A private Postfix: its own configuration, queue and log, nothing of the system's.

use anyhow::{bail, Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Settings: a plain relay that is allowed as many processes as there are connections.
fn main_cf(dir: &Path, sink: &str, connections: u32) -> String {
    let dir = dir.display();
    let processes = connections + 100;
    format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/queue\ndata_directory = {dir}/data\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         mail_owner = postfix\nsetgid_group = postdrop\nmaillog_file = {dir}/log/mail.log\n\
         maillog_file_prefixes = {dir}\ninet_protocols = ipv4\nmyhostname = relay.example\n\
         mydestination =\nlocal_recipient_maps =\nalias_maps =\nmynetworks = 127.0.0.0/8\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\nrelayhost = [127.0.0.1]:{sink}\n\
         default_process_limit = {processes}\nsmtpd_client_connection_count_limit = 0\n\
         default_destination_concurrency_limit = 50\nsmtp_destination_concurrency_limit = 50\n\
         initial_destination_concurrency = 50\nminimal_backoff_time = 2s\n\
         maximal_backoff_time = 5s\nqueue_run_delay = 2s\nmessage_size_limit = 0\n\
         smtpd_tls_security_level = none\nsmtp_tls_security_level = none\n"
    )
}

/// Services; none in a chroot, as the private directory has no copies of system files.
fn master_cf(listen: &str) -> String {
    let mut text = format!("{listen} inet n - n - - smtpd\n");
    for (name, kind, wakeup, command) in [
        ("cleanup", "unix", "-", "cleanup"),
        ("qmgr", "unix", "300", "qmgr"),
        ("rewrite", "unix", "-", "trivial-rewrite"),
        ("bounce", "unix", "-", "bounce"),
        ("defer", "unix", "-", "bounce"),
        ("trace", "unix", "-", "bounce"),
        ("verify", "unix", "-", "verify"),
        ("smtp", "unix", "-", "smtp"),
        ("relay", "unix", "-", "smtp"),
        ("error", "unix", "-", "error"),
        ("retry", "unix", "-", "error"),
        ("discard", "unix", "-", "discard"),
        ("anvil", "unix", "-", "anvil"),
        ("scache", "unix", "-", "scache"),
        ("proxymap", "unix", "-", "proxymap"),
        ("tlsmgr", "unix", "1000?", "tlsmgr"),
        ("postlog", "unix-dgram", "-", "postlogd"),
    ] {
        let public = ["cleanup", "qmgr", "postlog"].contains(&name);
        let private = if public { "n" } else { "-" };
        let limit = match name {
            "qmgr" | "anvil" | "scache" | "verify" | "tlsmgr" | "postlog" => "1",
            "bounce" | "defer" | "trace" | "cleanup" => "0",
            _ => "-",
        };
        text += &format!("{name} {kind} {private} - n {wakeup} {limit} {command}\n");
    }
    text
}

/// Writes the configuration below `dir` and starts Postfix. Returns the pid of its master.
///
/// # Errors
/// When Postfix is not installed, this is not root, or it does not start.
pub fn start(dir: &Path, listen: &str, sink_port: &str, connections: u32) -> Result<u32> {
    let etc = dir.join("etc");
    for name in ["etc", "queue", "data", "log"] {
        fs::create_dir_all(dir.join(name))?;
    }
    let owner = Command::new("chown").arg("postfix").arg(dir.join("data")).status()?;
    if !owner.success() {
        bail!("Postfix needs root and its Debian package (user postfix)");
    }
    fs::write(etc.join("main.cf"), main_cf(dir, sink_port, connections))?;
    fs::write(etc.join("master.cf"), master_cf(listen))?;
    let said = command(&etc, "start").output().context("cannot run postfix")?;
    if !said.status.success() {
        bail!("postfix start: {}", String::from_utf8_lossy(&said.stderr).trim());
    }
    let pid_file = dir.join("queue/pid/master.pid");
    let pid = fs::read_to_string(&pid_file).with_context(|| format!("{}", pid_file.display()))?;
    pid.trim().parse().context("master.pid holds no number")
}

/// Stops it.
///
/// # Errors
/// When postfix cannot be run.
pub fn stop(dir: &Path) -> Result<()> {
    command(&dir.join("etc"), "stop").output().context("cannot run postfix")?;
    Ok(())
}

fn command(etc: &Path, order: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("postfix");
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).arg("-c").arg(etc).arg(order);
    command
}

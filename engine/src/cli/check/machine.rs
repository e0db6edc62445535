//! Kernel, limits, rights, clock, listeners.

use super::report::Report;
use crate::{confine, start};
use ringmta_io::privileges::User;
use ringmta_io::{ring, system};
use ringmta_policy::InitConfig;
use std::io;
use std::net::TcpListener;

/// The oldest kernel with all that is used.
const KERNEL_MIN: (u32, u32) = (5, 13);
/// Descriptors below which a loaded engine runs out of them.
const FILES_MIN: u64 = 65_536;
/// Seconds since 1970 at a moment when this was written: no clock that is right says less.
const WRITTEN: u64 = 1_764_288_000;

pub(super) fn look(report: &mut Report, init: Option<&InitConfig>) {
    kernel(report);
    let ring = start::check_ring();
    let has_ring = ring.is_ok();
    match ring {
        Ok(()) => report.fine("io_uring", "rings can be made"),
        Err(why) => report.bad("io_uring", why, "nothing works without it"),
    }
    seccomp(report, has_ring);
    if confine::is_possible() {
        report.fine("confinement", "Landlock is there: the engine gives up what it does not need");
    } else {
        let cure = "CONFIG_SECURITY_LANDLOCK, and `landlock` in the kernel's lsm= list";
        report.warn("confinement", "this kernel has no Landlock", cure);
    }
    let (files, _) = system::rlimits();
    match files >= FILES_MIN {
        true => report.fine("open files", format!("up to {files}")),
        false => report.warn(
            "open files",
            format!("up to {files}, one for each connection"),
            format!(
                "LimitNOFILE={FILES_MIN} or more (systemd), ulimit -n, --ulimit nofile (docker)"
            ),
        ),
    }
    report.fine("cores", format!("{}, a shard on each", ring::cores().len()));
    clock(report);
    listeners(report, init);
}

fn kernel(report: &mut Report) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = KERNEL_MIN;
    match version >= KERNEL_MIN {
        true => report.fine("kernel", format!("Linux {release}")),
        false => {
            report.bad("kernel", format!("Linux {release}"), format!("{major}.{minor} or later"));
        }
    }
}

fn seccomp(report: &mut Report, has_ring: bool) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    match mode.map(str::trim) {
        Some("2") if has_ring => {
            report.fine("seccomp", "a filter is in force, and allows what was tried above")
        }
        Some("2") => report.warn(
            "seccomp",
            "a filter is in force, and may be what forbids io_uring",
            "local/seccomp.json is a filter that allows what the engine calls",
        ),
        Some("0") => report.fine("seccomp", "no filter; the unit and local/seccomp.json bring one"),
        _ => report.warn("seccomp", "the kernel does not say", "mount /proc"),
    }
}

fn clock(report: &mut Report) {
    let now = ringmta_io::unix_nanos() / 1_000_000_000;
    let cure = "run chrony or systemd-timesyncd: signatures, certificates and retries go by it";
    if now < WRITTEN {
        report.bad("clock", format!("it says {now} s after 1970: that is past"), cure);
    } else if system::is_clock_disciplined() {
        report.fine("clock", "held right by a time service");
    } else {
        let found =
            "the kernel knows of no time service that holds it right (normal in a container)";
        report.warn("clock", found, cure);
    }
}

/// Whether the listeners' addresses can be bound now.
fn listeners(report: &mut Report, init: Option<&InitConfig>) {
    let Some(init) = init else { return };
    let smtp = init.esmtp_listeners.iter().map(|listener| &listener.listen);
    let http = init.http_listeners.iter().map(|listener| &listener.listen);
    for listen in smtp.chain(http) {
        let address = match ringmta_policy::listen_address(listen) {
            Ok(address) => address,
            Err(why) => {
                report.bad("listener", why, "an address such as 0.0.0.0:25");
                continue;
            }
        };
        match TcpListener::bind(address) {
            Ok(_) => report.fine("listener", format!("{address} can be bound")),
            Err(error) => unbindable(report, &address.to_string(), &error),
        }
    }
}

fn unbindable(report: &mut Report, address: &str, error: &io::Error) {
    let cure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has it, or this engine runs already: `ss -ltnp` names it".to_string()
        }
        io::ErrorKind::PermissionDenied => format!(
            "the user {} may not bind low ports: use the unit, or setcap cap_net_bind_service=+ep on the program",
            User::current().name
        ),
        _ => "name an address of this host".into(),
    };
    report.bad("listener", format!("{address} cannot be bound: {error}"), cure);
}

//! `ringmta run`: the daemon.

use crate::cli::args::RunArgs;
use crate::cli::monitor::Monitor;
use crate::cli::supervisor::Supervisor;
use crate::confine::Confinement;
use crate::start;
use crate::start::{Engine, Options};
use ringmta_io::privileges;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Runs an engine until it is told to stop.
///
/// # Errors
/// One line that names cause and cure.
pub fn run(args: &RunArgs) -> Result<(), String> {
    if args.user.is_none()
        && privileges::is_root()
        && std::env::var_os("RINGMTA_ALLOW_ROOT").is_none()
    {
        return Err("started as root: name the user to become with --user (or set \
                    RINGMTA_ALLOW_ROOT=1 to stay root)"
            .into());
    }
    // Before anything else is done: no file is touched as root, and no thread started.
    if let Some(user) = &args.user {
        privileges::become_user(user)?;
    }
    let signals = signals()?;
    let options = Options {
        policy: Some(args.policy.clone()),
        shards: args.shards,
        auth_in_clear: args.auth_in_clear,
        relaxed: args.relaxed,
        receive_memory: args.receive_memory,
        confinement: Confinement { is_wanted: !args.no_confine, may_write: args.may_write.clone() },
    };
    let supervisor = Supervisor::of_environment();
    let monitor = Monitor::new(&args.policy);
    let engine = start::start(&options)?;
    monitor.start(&engine);
    announce(&engine);
    supervisor.watch(&engine.process)?;
    wait(engine, signals, &supervisor);
    Ok(())
}

/// Takes over the signals before any thread is started.
///
/// # Errors
/// When the system refuses.
pub fn signals() -> Result<Signals, String> {
    Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| format!("signals: {error}"))
}

/// One line per socket, whatever the log filter, then that it is complete.
pub fn announce(engine: &Engine) {
    for line in &engine.sockets {
        tell!("{line}");
    }
    if engine.recovered > 0 {
        tell!("{} messages recovered from the spool", engine.recovered);
    }
    tell!("initialization complete");
}

/// Waits for the signal to stop, reloading at SIGHUP, then stops.
pub fn wait(mut engine: Engine, mut signals: Signals, supervisor: &Supervisor) {
    supervisor.ready();
    for signal in signals.forever() {
        if signal == SIGHUP {
            supervisor.reloading();
            match engine.reload() {
                Ok(()) => tracing::info!("policy reloaded"),
                Err(why) => tracing::error!("policy not reloaded, the old one stays: {why}"),
            }
            supervisor.ready();
            continue;
        }
        tell!("stopping");
        supervisor.stopping();
        engine.stop();
        return;
    }
}

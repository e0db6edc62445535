//! Which part of the engine a sample of perf belongs to.
//!
//! The stack of a sample is read from the innermost frame outwards. The first function of a part of
//! the engine ([`STEPS`]) names the step: what a spool does through the I/O seam counts as spool, what
//! nobody in particular asked for (the executor's loop, the ring) as io. A function is told by its source
//! file, for the debug information of a release names no modules; functions that the compiler put into
//! others are found too.

use std::collections::BTreeMap;

/// One function of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Of the kernel.
    Kernel(String),
    /// Of the engine or a library it uses: source files, or the symbol where they are not known. Several
    /// when functions were put into one, innermost first.
    User(Vec<String>),
}

/// What the time of a sample was spent on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The step of a message's way.
    pub step: &'static str,
    /// What the kernel did for it; `None` outside of the kernel.
    pub kernel: Option<String>,
}

/// Modules of the engine and the steps they are, in the order of a message's way.
const STEPS: [(&str, &str); 8] = [
    ("accept", "receive"),
    ("shard", "queue"),
    ("spool", "spool"),
    ("queue", "queue"),
    ("egress", "egress"),
    ("events", "events"),
    ("control", "control"),
    ("sandbox", "sandbox"),
];

/// What carries all steps: it counts where none of them is on the stack.
const CARRIER: &str = "io, executor";

/// A stack that tells nothing: a library without frame pointers.
pub const UNKNOWN: &str = "not attributed";

/// All steps in the order of a table.
pub const ORDER: [&str; 10] = [
    "receive",
    "policy",
    "spool",
    "queue",
    "egress",
    "events",
    "io, executor",
    "control",
    "sandbox",
    UNKNOWN,
];

/// Where a sample belongs; `stack` is innermost first, `thread` is the thread's name.
pub fn place(thread: &str, stack: &[Frame]) -> Place {
    let kernel: Vec<&str> = stack
        .iter()
        .filter_map(|frame| match frame {
            Frame::Kernel(name) => Some(name.as_str()),
            Frame::User(_) => None,
        })
        .collect();
    let inside = matches!(stack.first(), Some(Frame::Kernel(_)));
    let step = match thread.starts_with("iou-") {
        // A worker of the ring has no stack of ours.
        true => "io, executor",
        false => step(stack),
    };
    Place { step, kernel: inside.then(|| kind(thread, &kernel)) }
}

fn step(stack: &[Frame]) -> &'static str {
    let functions = stack.iter().flat_map(|frame| match frame {
        Frame::Kernel(_) => &[],
        Frame::User(names) => names.as_slice(),
    });
    let mut carried = UNKNOWN;
    for name in functions {
        match part(name) {
            Some(CARRIER) => carried = CARRIER,
            Some(step) => return step,
            None => {}
        }
    }
    carried
}

/// The step of a source file or a symbol.
fn part(name: &str) -> Option<&'static str> {
    // A crate of the engine is `engine/CRATE/src`; what puts them together is `engine/src`.
    let module = match name.split_once("/engine/") {
        Some((_, inside)) => inside.split(['/', '.']).next()?,
        None if name.contains("/policy/") => return Some("policy"),
        None => {
            // `<a::B as c::D>::e` is of `a::B`.
            let path = name.trim_start_matches(['<', '&', '_', '(', '[']);
            match path.strip_prefix("ringmta_") {
                Some(inside) => match inside.split(':').next()? {
                    "policy" | "options" | "mail" => return Some("policy"),
                    name => name,
                },
                None if path.starts_with("ringmta::") => return Some(CARRIER),
                None => return path.contains("glommio").then_some(CARRIER),
            }
        }
    };
    let known = STEPS.iter().find(|(name, _)| *name == module);
    Some(known.map_or(CARRIER, |(_, step)| *step))
}

/// Handlers of the ring's requests, by the name of their function in the kernel.
const REQUESTS: [(&str, &str); 10] = [
    ("io_send", "send"),
    ("io_recv", "receive"),
    ("io_write", "write"),
    ("io_read", "read"),
    ("io_accept", "accept"),
    ("io_connect", "connect"),
    ("io_poll_add", "poll"),
    ("io_timeout", "timeout"),
    ("io_close", "close"),
    ("io_cqring_wait", "wait"),
];

/// What the kernel was doing: the system call, and for the ring which request; or why it ran at all.
fn kind(thread: &str, kernel: &[&str]) -> String {
    let request = kernel.iter().find_map(|name| {
        REQUESTS.iter().find(|(function, _)| is_function(name, function)).map(|(_, what)| *what)
    });
    // The compiler may put one of these into the other.
    let call = kernel.iter().find_map(|name| {
        let name = name.strip_prefix("__x64_sys_").or_else(|| name.strip_prefix("__do_sys_"))?;
        name.split('.').next()
    });
    let has = |text: &str| kernel.iter().any(|name| name.contains(text));
    match (call, request) {
        (Some("io_uring_enter"), Some(what)) => format!("io_uring_enter: {what}"),
        (Some(call), _) => call.to_string(),
        (None, Some(what)) if thread.starts_with("iou-") => format!("ring worker: {what}"),
        (None, _) if thread.starts_with("iou-") => "ring worker".to_string(),
        (None, _) if has("exc_page_fault") => "page fault".to_string(),
        (None, _) if has("sysvec") || has("common_interrupt") || has("softirq") => {
            "interrupt".to_string()
        }
        (None, _) if has("schedule") => "context switch".to_string(),
        (None, _) => "entry and exit".to_string(),
    }
}

/// Whether a symbol is a function, or a part of it that the compiler made.
fn is_function(symbol: &str, function: &str) -> bool {
    symbol.strip_prefix(function).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Samples by place.
#[derive(Debug, Default)]
pub struct Profile {
    places: BTreeMap<Place, u64>,
    total: u64,
}

impl Profile {
    /// Counts a sample.
    pub fn add(&mut self, place: Place) {
        *self.places.entry(place).or_default() += 1;
        self.total += 1;
    }

    /// Samples.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Share of samples of a step, in the kernel or outside of it.
    pub fn share(&self, step: &str, in_kernel: bool) -> f64 {
        let of = |place: &Place| place.step == step && place.kernel.is_some() == in_kernel;
        let samples: u64 =
            self.places.iter().filter(|(place, _)| of(place)).map(|(_, count)| count).sum();
        samples as f64 / self.total.max(1) as f64
    }

    /// What the kernel did for a step, or for all, with its share of all samples; the largest first.
    pub fn kernel(&self, step: Option<&str>) -> Vec<(String, f64)> {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (place, count) in &self.places {
            let Some(kind) = &place.kernel else { continue };
            if step.is_none_or(|step| step == place.step) {
                *kinds.entry(kind).or_default() += count;
            }
        }
        let share = |count: u64| count as f64 / self.total.max(1) as f64;
        let mut kinds: Vec<(String, f64)> =
            kinds.into_iter().map(|(kind, count)| (kind.to_string(), share(count))).collect();
        kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(names: &[&str]) -> Frame {
        Frame::User(names.iter().map(ToString::to_string).collect())
    }

    fn kernel(name: &str) -> Frame {
        Frame::Kernel(name.to_string())
    }

    #[test]
    fn the_innermost_part_of_the_engine_has_it() {
        let stack = [
            kernel("tcp_sendmsg"),
            kernel("__x64_sys_sendto"),
            user(&["__send"]),
            user(&["/x/engine/io/src/stream.rs"]),
            user(&[
                "<ringmta_egress::session::Turn as core::future::Future>::poll",
                "/x/engine/queue/src/ready.rs",
            ]),
            user(&["/y/glommio-0.9.0/src/executor/mod.rs"]),
        ];
        let place = place("shard-0", &stack);
        assert_eq!((place.step, place.kernel.as_deref()), ("egress", Some("sendto")));
    }

    #[test]
    fn what_nobody_asked_for_is_the_executors() {
        let turn = user(&["/y/glommio-0.9.0/src/reactor.rs", "ringmta_io::ring::run_shard"]);
        let ring = [kernel("io_write"), kernel("__x64_sys_io_uring_enter"), turn.clone()];
        let found = place("shard-0", &ring);
        assert_eq!(found.step, "io, executor");
        assert_eq!(found.kernel.as_deref(), Some("io_uring_enter: write"));
        assert_eq!(place("x", &[turn]).kernel, None);
        assert_eq!(place("x", &[user(&["memcpy"])]).step, UNKNOWN);
        let wait = [kernel("io_cqring_wait"), kernel("__do_sys_io_uring_enter.isra.0")];
        assert_eq!(place("x", &wait).kernel.as_deref(), Some("io_uring_enter: wait"));
        let switch = [kernel("finish_task_switch"), kernel("schedule"), kernel("do_syscall_64")];
        assert_eq!(place("x", &switch).kernel.as_deref(), Some("context switch"));
        let worker = place("iou-wrk-7", &[kernel("ext4_sync"), kernel("io_write.isra.0")]);
        assert_eq!(worker.kernel.as_deref(), Some("ring worker: write"));
    }

    #[test]
    fn files_and_symbols() {
        assert_eq!(part("/x/engine/spool/src/log/record.rs"), Some("spool"));
        assert_eq!(part("/x/engine/src/core/stages.rs"), Some(CARRIER));
        assert_eq!(part("/x/policy/mail/src/message.rs"), Some("policy"));
        assert_eq!(part("/y/glommio-0.9.0/src/executor/mod.rs"), Some(CARRIER));
        assert_eq!(part("/rustc/1/library/alloc/src/vec/mod.rs"), None);
        assert_eq!(part("<&ringmta_mail::Message as core::fmt::Debug>::fmt"), Some("policy"));
        assert_eq!(part("<&ringmta_policy::Meta as core::fmt::Debug>::fmt"), Some("policy"));
        assert_eq!(part("ringmta_queue::ready::run"), Some("queue"));
        assert_eq!(part("memcpy"), None);
    }

    #[test]
    fn shares() {
        let mut profile = Profile::default();
        for kernel in [None, Some("sendto"), Some("sendto"), Some("read")] {
            profile.add(Place { step: "egress", kernel: kernel.map(str::to_string) });
        }
        assert_eq!(profile.share("egress", false), 0.25);
        assert_eq!(profile.kernel(Some("egress"))[0], ("sendto".to_string(), 0.5));
        assert_eq!(profile.kernel(Some("spool")), []);
    }
}

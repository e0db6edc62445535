//! The budget of a handler between two waits: one that loops is stopped, the shard lives.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use mlua::{Debug, HookTriggers, Lua, VmState};

use crate::limits::{HOOK_EVERY_INSTRUCTIONS, MAX_SLICE_INSTRUCTIONS, MAX_SLICE_TIME, MAX_SPINS};

/// How much the running handler has used since it last waited.
#[derive(Default)]
pub(crate) struct Slice {
    started: Cell<Option<Instant>>,
    instructions: Cell<u64>,
    overruns: Cell<u32>,
    place: RefCell<String>,
}

/// What a policy sees of it, if it catches the error.
pub(crate) const TOO_LONG: &str = "the handler ran too long without waiting";

/// The handler used up its budget. Holds where it was stopped, as `file:line`; empty when unknown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun(pub String);

impl Slice {
    fn begin(&self) {
        self.started.set(None);
        self.instructions.set(0);
        self.overruns.set(0);
    }

    /// Called by the VM every [`HOOK_EVERY_INSTRUCTIONS`]. The clock is first read at the first call: a handler shorter than
    /// that costs no clock read at all.
    fn tick(&self, debug: &Debug<'_>) -> mlua::Result<VmState> {
        let n = self.instructions.get() + HOOK_EVERY_INSTRUCTIONS as u64;
        self.instructions.set(n);
        if n < MAX_SLICE_INSTRUCTIONS && self.has_time() {
            return Ok(VmState::Continue);
        }
        // A yield cannot be caught by the policy, but inside a C function (sort, gsub) or a coroutine of the policy's own it
        // does not reach us: an error in turn unwinds those.
        let overruns = self.overruns.get();
        self.overruns.set(overruns.wrapping_add(1).max(1));
        if overruns == 0 {
            *self.place.borrow_mut() = place(debug);
        }
        if overruns.is_multiple_of(2) {
            Ok(VmState::Yield)
        } else {
            Err(mlua::Error::runtime(TOO_LONG))
        }
    }

    /// Whether the handler's time is not up yet; it runs from the first time that is asked.
    fn has_time(&self) -> bool {
        let started = self.started.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.started.set(Some(now));
            now
        });
        started.elapsed() < MAX_SLICE_TIME
    }

    /// For a function that works for long by itself, where the VM's own watch does not look: whether it may go on. If not it
    /// must fail, and the handler is stopped.
    pub fn may_go_on(&self, lua: &Lua) -> bool {
        if self.has_time() {
            return true;
        }
        if self.overruns.get() == 0 {
            self.overruns.set(1);
            // The first that is no function of ours.
            let places = (1..LEVELS_TO_POLICY).filter_map(|level| lua.inspect_stack(level, place));
            *self.place.borrow_mut() =
                places.into_iter().find(|at| !at.is_empty()).unwrap_or_default();
        }
        false
    }

    /// Puts the watch on a VM; coroutines made later inherit it.
    pub fn install(self: &Rc<Slice>, lua: &Lua) -> mlua::Result<()> {
        let slice = self.clone();
        let every = HookTriggers::new().every_nth_instruction(HOOK_EVERY_INSTRUCTIONS);
        lua.set_global_hook(every, move |_, debug| slice.tick(debug))
    }

    /// Runs a handler's future under the budget.
    pub async fn watch<T>(&self, fut: impl Future<Output = T>) -> Result<T, Overrun> {
        let mut fut = pin!(fut);
        let mut spin = Spin::default();
        std::future::poll_fn(|cx| {
            self.begin();
            let polled = spin.poll(cx, |cx| fut.as_mut().poll(cx));
            if self.overruns.get() > 0 {
                return Poll::Ready(Err(Overrun(self.place.take())));
            }
            if spin.is_endless() {
                return Poll::Ready(Err(Overrun("coroutine.yield".into())));
            }
            polled.map(Ok)
        })
        .await
    }
}

/// Lets whoever else is ready have a turn: for work of ours that may be long. The time of the handler's next stretch
/// begins anew.
pub(crate) async fn others_first() {
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Ready(())
    })
    .await;
    futures::pending!();
}

/// Notices a handler that yields and yields, and waits for nothing: such a one asks to be run again while it still runs.
#[derive(Default)]
struct Spin {
    polls: u32,
    in_a_row: u32,
}

/// A waker that remembers whether it was used.
struct Noted {
    used: AtomicBool,
    inner: Waker,
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.used.store(true, Ordering::Relaxed);
        self.inner.wake_by_ref();
    }
}

impl Spin {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Nearly every handler waits a few times at most: for those it costs a counter.
        self.polls = self.polls.saturating_add(1);
        if self.polls < MAX_SPINS {
            return poll(cx);
        }
        let noted = Arc::new(Noted { used: AtomicBool::new(false), inner: cx.waker().clone() });
        let polled = poll(&mut Context::from_waker(&noted.clone().into()));
        let again = polled.is_pending() && noted.used.load(Ordering::Relaxed);
        self.in_a_row = if again { self.in_a_row + 1 } else { 0 };
        polled
    }

    fn is_endless(&self) -> bool {
        self.in_a_row >= MAX_SPINS
    }
}

/// Functions of ours that may lie between a policy and a native one.
const LEVELS_TO_POLICY: usize = 6;

fn place(debug: &Debug<'_>) -> String {
    let source = debug.source();
    match (source.short_src, debug.current_line()) {
        (Some(file), Some(line)) if file != "string" => format!("{file}:{line}"),
        _ => String::new(),
    }
}

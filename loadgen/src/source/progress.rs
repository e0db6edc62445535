//! The progress line.

use super::options::Options;
use super::tally::Live;
use crate::limits;
use crate::units::{counted, thousands};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shows progress on stderr (if that is a terminal) until `finished`.
pub(super) fn show(
    options: &Options,
    begin: Instant,
    lives: &[Arc<Live>],
    finished: impl Fn() -> bool,
) {
    let bar = bar(options);
    let interval = Duration::from_millis(limits::PROGRESS_MS);
    let mut before = (begin, 0);
    while !finished() {
        std::thread::park_timeout(Duration::from_millis(10));
        let now = Instant::now();
        if now - before.0 < interval {
            continue;
        }
        let sum = |counter: fn(&Live) -> &AtomicU64| -> u64 {
            lives.iter().map(|live| counter(live).load(Ordering::Relaxed)).sum()
        };
        let answered = sum(|live| &live.acknowledged) + sum(|live| &live.refused);
        let rate = answered.saturating_sub(before.1) as f64 / (now - before.0).as_secs_f64();
        let position = match options.count {
            Some(_) => answered,
            None => (now - begin).as_millis() as u64,
        };
        bar.set_position(position);
        bar.set_message(format!(
            "{} answered, {} msg/s, {} refused, {}",
            thousands(answered),
            thousands(rate as u64),
            thousands(sum(|live| &live.refused)),
            counted(sum(|live| &live.errors), "connection error")
        ));
        before = (now, answered);
    }
    bar.finish_and_clear();
}

fn bar(options: &Options) -> ProgressBar {
    let length = match (options.count, options.duration) {
        (Some(count), _) => count,
        (None, duration) => duration.unwrap_or_default().as_millis() as u64,
    };
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

//! Which view an answer has.

use super::args::Ctl;
use super::paint::Paint;
use super::sort::Sort;
use super::{
    done_view, facts_view, find_view, parsed, pretty, queue_view, ready_view, views, why_view,
};

/// An answer as people read it.
///
/// # Errors
/// It is no JSON where it should be.
pub fn shown(what: &Ctl, answer: &str, sort: &Sort, paint: Paint) -> Result<String, String> {
    Ok(match what {
        Ctl::Queues => views::queues(&parsed(answer)?, sort),
        Ctl::Orders => views::orders(&parsed(answer)?, sort),
        Ctl::Queue { skip, .. } => queue_view::queue(&parsed(answer)?, *skip, sort, paint),
        Ctl::Message { .. } => queue_view::message(&parsed(answer)?, paint),
        Ctl::Ready { .. } => ready_view::ready(&parsed(answer)?, sort, paint),
        Ctl::ReadyStates { .. } => ready_view::states(&parsed(answer)?, sort),
        Ctl::Path { .. } => ready_view::path(&parsed(answer)?, sort, paint),
        Ctl::Machine => facts_view::machine(&parsed(answer)?, paint),
        Ctl::Settings => facts_view::settings(&parsed(answer)?, sort),
        Ctl::SelfCheck => facts_view::self_check(&parsed(answer)?, sort, paint),
        Ctl::Why { .. } => why_view::why(&parsed(answer)?, paint),
        Ctl::Find { .. } => find_view::find(&parsed(answer)?, sort, paint),
        other => match parsed(answer) {
            Ok(told) => done_view::done(other, &told, sort).unwrap_or_else(|| pretty(answer)),
            // Words already.
            Err(_) => pretty(answer),
        },
    })
}

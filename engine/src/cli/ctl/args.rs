//! What may be written behind `ringmta ctl`.

use crate::cli::args::ApiArgs;
use clap::builder::{PossibleValuesParser, StyledStr, Styles};
use clap::{ArgGroup, Args, Command, Subcommand, ValueEnum};
use ringmta_events::record::Kind;
use std::path::PathBuf;

/// Where a verb's help has what all verbs share.
const SHOWN: &str = "How the answer is shown";

/// Arguments of `ctl`.
#[derive(Args, Debug)]
#[command(help_template = page())]
pub struct CtlArgs {
    /// Which engine, and who asks.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Print the answer as JSON.
    #[arg(long, global = true, help_heading = SHOWN)]
    pub json: bool,
    /// When words are coloured; NO_COLOR in the environment means never.
    #[arg(long, global = true, help_heading = SHOWN, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Sort tables by this column: numbers and durations the largest first, words by the alphabet.
    #[arg(long, global = true, help_heading = SHOWN, value_name = "COLUMN", conflicts_with = "json")]
    pub sort: Option<String>,
    /// With --sort: the other way round.
    #[arg(long, global = true, help_heading = SHOWN, requires = "sort")]
    pub reverse: bool,
    /// Ask again every so many seconds and show the answer anew, until interrupted.
    #[arg(long, global = true, help_heading = SHOWN, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    /// What to ask.
    #[command(subcommand)]
    pub what: Ctl,
}

/// When words are coloured.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a name is the name of.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A message's id.
    Message,
    /// campaign:tenant@domain!routing_domain
    Queue,
    /// The domain of recipients.
    Domain,
    /// A ready queue, or the name of a site.
    Site,
    /// A source of a pool.
    Source,
    /// A pool of sources.
    Pool,
}

impl About {
    /// As the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            About::Message => "message",
            About::Queue => "queue",
            About::Domain => "domain",
            About::Site => "site",
            About::Source => "source",
            About::Pool => "pool",
        }
    }
}

/// The headings of the verbs in `ctl --help`, each with the first verb below it: they stand there in the order of [`Ctl`].
const HEADINGS: [(&str, &str); 4] = [
    ("Ask what is, and why", "why"),
    ("Watch what happens", "top"),
    ("Steer mail", "suspend"),
    ("The engine itself", "alive"),
];

/// The page of `ctl --help`: the verbs under their headings, made of their definitions.
fn page() -> StyledStr {
    let verbs = Ctl::augment_subcommands(Command::new("ctl"));
    let styles = Styles::styled();
    let (heading, literal) = (styles.get_header(), styles.get_literal());
    let width = verbs.get_subcommands().map(|verb| verb.get_name().len()).max().unwrap_or(0);
    let mut page = "{about-with-newline}\n{usage-heading} {usage}\n".to_string();
    for verb in verbs.get_subcommands() {
        let name = verb.get_name();
        if let Some((title, _)) = HEADINGS.iter().find(|(_, first)| *first == name) {
            page += &format!("\n{heading}{title}:{heading:#}\n");
        }
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        page += &format!("  {literal}{name:<width$}{literal:#}  {about}\n");
    }
    page += &format!("\n{heading}Options:{heading:#}\n{{options}}\n\n");
    page += "`ringmta ctl VERB --help` tells what a verb takes.";
    page.into()
}

/// Operator commands, in the order of [`HEADINGS`].
#[derive(Subcommand, Debug)]
pub enum Ctl {
    /// Why something is as it is: a message, a queue, a domain, a site, a source, a pool.
    Why {
        /// Its name or id.
        name: String,
        /// Of which kind it is; the first kind that knows the name unless given.
        #[arg(long = "as", value_enum, value_name = "KIND")]
        about: Option<About>,
    },
    /// Where a message is and what became of it: by id, address, or Message-ID in brackets.
    Find {
        /// What to look for.
        what: String,
        /// How far back, such as `1d` or `2 hours`.
        #[arg(long, default_value = "1d")]
        since: String,
        /// Records at the most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// All queues with what waits in them.
    Queues,
    /// One scheduled queue: its messages, its configuration, what holds it.
    Queue {
        /// campaign:tenant@domain!routing_domain
        name: String,
        /// Most messages to list.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        /// Messages to leave out: those of the pages before.
        #[arg(long, value_name = "N", default_value_t = 0)]
        skip: usize,
    },
    /// One ready queue: its hosts, connections, limits.
    Ready {
        /// source->site@protocol
        name: String,
    },
    /// Which limits hold ready queues up.
    ReadyStates {
        /// Only these ready queues; all unless given.
        #[arg(value_name = "NAME")]
        queues: Vec<String>,
    },
    /// One message: where it lies, its envelope and metadata, and with --body its text.
    Message {
        /// Its id.
        id: String,
        /// Show the message itself too.
        #[arg(long)]
        body: bool,
    },
    /// How mail to a domain would leave: hosts, options, limits, and what has set them.
    Path {
        /// The recipients' domain, or a queue's name.
        domain: String,
        /// The source; that with the most weight in the queue's pool unless given.
        source: Option<String>,
    },
    /// Orders in force: suspensions, bounces, holds; by whom, why, how long still.
    Orders,
    /// What operators have set over restarts, with who and when.
    Settings,
    /// What the engine does now: rates, the fullest queues, providers, handlers, shards. With --watch again and again.
    Top {
        /// Rows of each table at the most.
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Event records, filtered: as they happen, or with --logs out of log files on this machine.
    Tail(TailArgs),
    /// Follow sessions as they happen, those of clients or with --outgoing those to next hops; secrets are not shown.
    Trace(TraceArgs),
    /// Metrics in Prometheus' text form.
    Metrics {
        /// Only those whose name starts so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Stop the mail of scheduled queues, by domain, tenant or campaign, for a time: it waits, and no attempt is charged.
    Suspend(OrderArgs),
    /// Stop one ready queue: for a time no mail goes from that source to that site.
    SuspendReady {
        /// source->site@protocol
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// How long, such as `10m` or `2 hours`.
        #[arg(long, default_value = "5m")]
        duration: String,
    },
    /// Stop a single message by its id, or a single queue by its name; `release` lets it go.
    Hold {
        /// A message's id, or a queue's name.
        name: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// How long, such as `10m` or `2 hours`.
        #[arg(long, default_value = "1d")]
        duration: String,
    },
    /// Let a message or a queue go that `hold` has stopped.
    Release {
        /// A message's id, or a queue's name.
        name: String,
    },
    /// Fail all mail of scheduled queues: what waits, and for a time what comes, each with its record.
    Bounce(BounceArgs),
    /// End an order: a suspension, a bounce or a hold.
    Cancel {
        /// Its id, as `orders` tells it.
        id: String,
    },
    /// Try what waits for its time now: a message, or all of a queue.
    TryNow {
        /// A message's id, or a queue's name.
        name: String,
    },
    /// Fail a message, or all that waits in a queue now, each with its record.
    #[command(group(ArgGroup::new("which").args(["name", "message_id"]).required(true)))]
    Delete {
        /// A message's id, or a queue's name.
        name: Option<String>,
        /// All messages with this Message-ID.
        #[arg(long, value_name = "ID")]
        message_id: Option<String>,
        /// Look for it among the mail to this domain only.
        #[arg(long, requires = "message_id")]
        domain: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Make no records of it.
        #[arg(long)]
        suppress_logging: bool,
    },
    /// Give messages other metadata, and so another queue.
    Rebind(RebindArgs),
    /// End a connection of a ready queue. What it has in work is tried again.
    Abort {
        /// source->site@protocol
        queue: String,
        /// Its session id, as `ready` tells it.
        session: String,
    },
    /// Is it alive and taking mail?
    Alive,
    /// Is each message in exactly one place, and every limit and route as it should be?
    SelfCheck,
    /// Load the policy anew: on every shard, or on none.
    Reload,
    /// Begin a configuration epoch: every queue asks the policy for its configuration again.
    BumpEpoch,
    /// Set what the engine says on stderr, over restarts too.
    #[command(group(ArgGroup::new("which").args(["filter", "reset"]).required(true)))]
    LogFilter {
        /// Levels by target, such as `info,ringmta_egress=debug`.
        filter: Option<String>,
        /// Go back to what the policy or the environment says.
        #[arg(long)]
        reset: bool,
    },
    /// Write what is only in memory yet.
    SpoolCompact {
        /// Name of the spool.
        name: String,
    },
    /// Facts about the machine and the process.
    Machine,
    /// What is in memory, and against which budgets it counts.
    Memory,
    /// What the tasks of each shard wait for.
    Tasks,
}

/// Types of records.
fn kinds() -> PossibleValuesParser {
    Kind::ALL.map(Kind::name).into()
}

/// Which records.
#[derive(Args, Debug, Default)]
pub struct TailArgs {
    /// Read the log files in this folder; without it the engine tells what happens from now on.
    #[arg(long, value_name = "DIR", env = "RINGMTA_LOG_DIR")]
    pub logs: Option<PathBuf>,
    /// Ask the engine, also where RINGMTA_LOG_DIR is set.
    #[arg(long)]
    pub live: bool,
    /// With log files: go on with what is written from now on.
    #[arg(long, short)]
    pub follow: bool,
    /// With --follow: also what is there already.
    #[arg(long, requires = "follow")]
    pub from_start: bool,
    /// Records of this type, such as Bounce; may be repeated.
    #[arg(long = "type", value_name = "TYPE", ignore_case = true, value_parser = kinds())]
    pub kind: Vec<String>,
    /// About this message.
    #[arg(long)]
    pub id: Option<String>,
    /// From this address.
    #[arg(long)]
    pub sender: Option<String>,
    /// To this address.
    #[arg(long)]
    pub recipient: Option<String>,
    /// To addresses of this domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Of this scheduled queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// Of this source.
    #[arg(long)]
    pub source: Option<String>,
}

/// Which sessions. What is not known of a session yet keeps it in; each may be repeated.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Sessions to next hops, in place of those of clients.
    #[arg(long)]
    pub outgoing: bool,
    /// Long texts by their beginning only.
    #[arg(long)]
    pub terse: bool,
    /// The client's address or network; with --outgoing the one it leaves from.
    #[arg(long, value_name = "NETWORK")]
    pub source_addr: Vec<String>,
    /// The next hop's address or network.
    #[arg(long, requires = "outgoing", value_name = "NETWORK")]
    pub mx_addr: Vec<String>,
    /// The next hop's name.
    #[arg(long, requires = "outgoing", value_name = "HOST")]
    pub mx_host: Vec<String>,
    /// Sessions with mail to this domain.
    #[arg(long, requires = "outgoing")]
    pub domain: Vec<String>,
    /// Sessions with mail of this tenant.
    #[arg(long, requires = "outgoing")]
    pub tenant: Vec<String>,
    /// Sessions with mail of this campaign.
    #[arg(long, requires = "outgoing")]
    pub campaign: Vec<String>,
    /// Sessions from this source.
    #[arg(long, requires = "outgoing")]
    pub source: Vec<String>,
    /// Sessions with mail from this address.
    #[arg(long, requires = "outgoing")]
    pub sender: Vec<String>,
    /// Sessions with mail to this address.
    #[arg(long, requires = "outgoing")]
    pub recipient: Vec<String>,
    /// Sessions of this ready queue.
    #[arg(long, requires = "outgoing", value_name = "NAME")]
    pub ready_queue: Vec<String>,
    /// Sessions with this message.
    #[arg(long, requires = "outgoing", value_name = "ID")]
    pub message: Vec<String>,
}

/// Which messages are moved, and where to.
#[derive(Args, Debug)]
pub struct RebindArgs {
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Metadata to set, NAME=VALUE; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", required = true)]
    pub set: Vec<String>,
    /// Only queues of this domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Only queues with this routing domain.
    #[arg(long)]
    pub routing_domain: Option<String>,
    /// Only queues of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only queues of this campaign.
    #[arg(long)]
    pub campaign: Option<String>,
    /// Only the queue with this name; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub queue: Vec<String>,
    /// Really all queues, when nothing narrows them.
    #[arg(long)]
    pub everything: bool,
    /// What stays in its queue is tried now as well.
    #[arg(long)]
    pub always_flush: bool,
    /// Make no records of it.
    #[arg(long)]
    pub suppress_logging: bool,
    /// The policy's rebind_message decides, in place of the metadata.
    #[arg(long)]
    pub trigger_rebind_event: bool,
}

/// Which queues, why, and for how long.
#[derive(Args, Debug)]
pub struct OrderArgs {
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Only queues of this domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Only queues of this tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only queues of this campaign.
    #[arg(long)]
    pub campaign: Option<String>,
    /// Only queues with this routing domain.
    #[arg(long)]
    pub routing_domain: Option<String>,
    /// Only the queue with this name; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub queue: Vec<String>,
    /// How long, such as `10m` or `2 hours`.
    #[arg(long, default_value = "5m")]
    pub duration: String,
    /// Really all queues, when nothing narrows them.
    #[arg(long)]
    pub everything: bool,
}

/// What is failed, and how.
#[derive(Args, Debug)]
pub struct BounceArgs {
    /// Which queues, why, and for how long.
    #[command(flatten)]
    pub order: OrderArgs,
    /// Make no records of it.
    #[arg(long)]
    pub suppress_logging: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_verb_stands_below_a_heading() {
        let mut all = Cli::command();
        all.build();
        let ctl = all.find_subcommand_mut("ctl").unwrap();
        let verbs: Vec<(String, String)> = Ctl::augment_subcommands(Command::new("ctl"))
            .get_subcommands()
            .map(|verb| (verb.get_name().to_string(), verb.get_about().unwrap().to_string()))
            .collect();
        let page = ctl.render_long_help().to_string();
        let mut at = 0;
        for (name, about) in &verbs {
            let row = page[at..]
                .find(&format!("\n  {name} "))
                .unwrap_or_else(|| panic!("{name}: {page}"));
            at += row;
            assert!(page[at..].lines().nth(1).unwrap().ends_with(about), "{name}: {page}");
        }
        let headings = HEADINGS.map(|(title, _)| page.find(&format!("\n{title}:\n")).unwrap());
        assert!(headings.is_sorted(), "{page}");
        assert!(page.contains("--endpoint") && page.contains("--watch"), "{page}");
        assert_eq!(verbs[0].0, HEADINGS[0].1, "none above the first heading");
    }
}

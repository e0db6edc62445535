//! What may be written behind `ringmta ctl`.

use crate::cli::args::ApiArgs;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use ringmta_events::record::Kind;
use std::path::PathBuf;

/// Arguments of `ctl`.
#[derive(Args, Debug)]
pub struct CtlArgs {
    /// Which engine, and who asks.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// When words are coloured; NO_COLOR in the environment means never.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Sort tables by this column: numbers and durations the largest first, words by the alphabet.
    #[arg(long, global = true, value_name = "COLUMN", conflicts_with = "json")]
    pub sort: Option<String>,
    /// With --sort: the other way round.
    #[arg(long, global = true, requires = "sort")]
    pub reverse: bool,
    /// Ask again every so many seconds and show the answer anew, until interrupted.
    #[arg(long, global = true, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
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
        }
    }
}

/// Operator commands.
#[derive(Subcommand, Debug)]
pub enum Ctl {
    /// Is it alive and taking mail?
    Alive,
    /// All queues with what waits in them.
    Queues,
    /// One scheduled queue: its messages, its configuration, what holds it.
    Queue {
        /// campaign:tenant@domain!routing_domain
        name: String,
        /// Most messages to list.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One ready queue: its hosts, connections, limits.
    Ready {
        /// source->site@protocol
        name: String,
    },
    /// Why something is as it is: a message, a queue, a domain, a site, a source.
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
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Event records, filtered: as they happen, or with --logs out of log files on this machine.
    Tail(TailArgs),
    /// Follow sessions as they happen; secrets are not shown.
    Trace(TraceArgs),
    /// What the engine does now: rates, the fullest queues, providers, handlers. With --watch again and again.
    Top {
        /// Rows of each table at the most.
        #[arg(long, default_value_t = 10)]
        limit: usize,
    },
    /// Try what waits for its time now: a message, or all of a queue.
    TryNow {
        /// A message's id, or a queue's name.
        name: String,
    },
    /// Hold a message, or a queue.
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
    /// End the hold of a message, or of a queue.
    Release {
        /// A message's id, or a queue's name.
        name: String,
    },
    /// Fail a message, or all that waits in a queue now, each with its record.
    Delete {
        /// A message's id, or a queue's name.
        #[arg(required_unless_present = "message_id", conflicts_with = "message_id")]
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
    /// End a connection of a ready queue. What it has in work is tried again.
    Abort {
        /// source->site@protocol
        queue: String,
        /// Its session id.
        session: String,
    },
    /// One message: where it lies and why.
    Message {
        /// Its id.
        id: String,
        /// Show the message itself too.
        #[arg(long)]
        body: bool,
    },
    /// Metrics in Prometheus' text form.
    Metrics {
        /// Only those whose name starts so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Give messages other metadata, and so another queue.
    Rebind(RebindArgs),
    /// Which limits hold ready queues up.
    ReadyStates {
        /// Only these ready queues; all unless given.
        queues: Vec<String>,
    },
    /// How mail to a domain would leave: hosts, options, limits, and what has set them.
    Path {
        /// The recipients' domain, or a queue's name.
        domain: String,
        /// The source.
        #[arg(default_value = "unspecified")]
        source: String,
    },
    /// Facts about the machine and the process.
    Machine,
    /// What is in memory, and against which budgets it counts.
    Memory,
    /// What the tasks of each shard wait for.
    Tasks,
    /// Write what is only in memory yet.
    SpoolCompact {
        /// Name of the spool.
        name: String,
    },
    /// Begin a configuration epoch: every queue asks the policy for its configuration again.
    BumpEpoch,
    /// Set what the engine says on stderr, over restarts too.
    LogFilter {
        /// Levels by target, such as `info,ringmta_egress=debug`.
        #[arg(required_unless_present = "reset", conflicts_with = "reset")]
        filter: Option<String>,
        /// Go back to what the policy or the environment says.
        #[arg(long)]
        reset: bool,
    },
    /// What operators have set over restarts, with who and when.
    Settings,
    /// Hold one ready queue.
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
    /// Hold scheduled queues.
    Suspend(OrderArgs),
    /// Fail all mail of scheduled queues.
    Bounce(OrderArgs),
    /// Orders in force.
    Orders,
    /// End an order.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Load the policy anew.
    Reload,
    /// Is each message in exactly one place, and every limit and route as it should be?
    SelfCheck,
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
    #[arg(long, value_name = "NETWORK")]
    pub mx_addr: Vec<String>,
    /// The next hop's name.
    #[arg(long, value_name = "HOST")]
    pub mx_host: Vec<String>,
    /// Domain.
    #[arg(long)]
    pub domain: Vec<String>,
    /// Tenant.
    #[arg(long)]
    pub tenant: Vec<String>,
    /// Campaign.
    #[arg(long)]
    pub campaign: Vec<String>,
    /// Source.
    #[arg(long)]
    pub source: Vec<String>,
    /// Envelope sender.
    #[arg(long)]
    pub sender: Vec<String>,
    /// Envelope recipient.
    #[arg(long)]
    pub recipient: Vec<String>,
    /// Ready queue.
    #[arg(long, value_name = "NAME")]
    pub ready_queue: Vec<String>,
    /// Message id.
    #[arg(long, value_name = "ID")]
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
    /// Domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Routing domain.
    #[arg(long)]
    pub routing_domain: Option<String>,
    /// Tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Campaign.
    #[arg(long)]
    pub campaign: Option<String>,
    /// The queues with these names; may be repeated.
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
    /// Domain.
    #[arg(long)]
    pub domain: Option<String>,
    /// Tenant.
    #[arg(long)]
    pub tenant: Option<String>,
    /// Campaign.
    #[arg(long)]
    pub campaign: Option<String>,
    /// How long, such as `10m` or `2 hours`.
    #[arg(long, default_value = "5m")]
    pub duration: String,
    /// Really all queues, when none of domain, tenant, campaign is given.
    #[arg(long)]
    pub everything: bool,
}

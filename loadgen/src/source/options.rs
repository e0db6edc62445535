//! The options of `loadgen source`.

use crate::units::parse_duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Send messages to a server and measure how it takes them.
///
/// Latency is the time from the start of a message (or from when it was due, with --rate) to the reply to its final
/// dot. With --starttls any certificate is accepted: this is a load tool.
///
/// Exit status: 0 the run was completed, 1 it ended early or nothing was acknowledged, 2 usage or I/O error.
#[derive(Debug, Args)]
pub struct Options {
    /// Server to send to; several share the connections
    #[arg(long, value_name = "HOST:PORT", required = true, value_delimiter = ',')]
    pub target: Vec<String>,
    /// Connections kept open
    #[arg(long, short = 'c', value_name = "N", default_value_t = 10)]
    pub connections: usize,
    /// Messages per second, sent when they are due whether or not earlier ones are done; default: full speed
    #[arg(long, value_name = "MSGS_PER_S")]
    pub rate: Option<f64>,
    /// With --rate, open the connections this long before the first message is due: what is measured is
    /// not how they were opened
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0s", requires = "rate")]
    pub settle: Duration,
    /// Messages to send
    #[arg(long, short = 'n', value_name = "N", required_unless_present = "duration")]
    pub count: Option<u64>,
    /// Time to send for (e.g. 30s)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Body size, or weighted sizes ("2k=70,50k=25,1m=5")
    #[arg(long, value_name = "BYTES", default_value = "10k")]
    pub size: String,
    /// Send the .eml files of this folder, in turn, instead of generated messages
    #[arg(long, value_name = "FOLDER", conflicts_with = "size")]
    pub eml_dir: Option<PathBuf>,
    /// Weighted recipient domains ("a.example=70,b.example=30")
    #[arg(long, value_name = "LIST", default_value = "example.com")]
    pub domains: String,
    /// Use recipient domains d0001.example ... instead
    #[arg(long, value_name = "N", conflicts_with = "domains")]
    pub domain_count: Option<u32>,
    /// Take the domains of --domain-count one after the other instead of drawing them
    #[arg(long, requires = "domain_count")]
    pub in_turn: bool,
    /// Recipients of each message
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub recipients: u32,
    /// Envelope sender
    #[arg(long, value_name = "ADDRESS", default_value = "loadgen@sender.example")]
    pub from: String,
    /// Name given in EHLO
    #[arg(long, value_name = "NAME", default_value = "loadgen.example")]
    pub helo: String,
    /// Pipeline even if the server does not offer it (default: when offered)
    #[arg(long, conflicts_with = "no_pipelining")]
    pub pipelining: bool,
    /// Wait for the reply to each command
    #[arg(long)]
    pub no_pipelining: bool,
    /// Also send the next message's envelope, or QUIT, in the same write as a body
    #[arg(long, conflicts_with = "no_pipelining")]
    pub deep_pipelining: bool,
    /// Messages sent over a connection before a new one is opened; default: no limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages_per_connection: Option<u64>,
    /// Log in with AUTH PLAIN, or LOGIN if that is all there is
    #[arg(long, value_name = "USER:PASS")]
    pub auth: Option<String>,
    /// Encrypt with STARTTLS, accepting any certificate
    #[arg(long)]
    pub starttls: bool,
    /// Reconnect after any failure, with backoff, until count or duration is reached
    #[arg(long)]
    pub keep_going: bool,
    /// Longest wait for a connection or a reply
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    pub timeout: Duration,
    /// Append the fate of each message to this file
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Add to the ledger when each message was due and when it was acknowledged
    #[arg(long, requires = "ledger")]
    pub times: bool,
    /// Write the report as JSON ("-": to stdout)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Name of this run in the loadgen ids; default: random
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Seed of bodies and recipients
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// No progress line, no summary
    #[arg(long, short)]
    pub quiet: bool,
}

//! The options of `loadgen sink`.

use super::faults::{FailAt, Faults, Phase};
use crate::units::parse_duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Accept messages at full speed, or fail them on demand.
///
/// Prints `listening on IP:PORT` for each address at start and a summary at the end (SIGINT, SIGTERM, or --count).
#[derive(Debug, Args)]
pub struct Options {
    /// Addresses to listen on (port 0: any free one)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:2600", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// Append a line for each message taken to this file
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Add to the ledger when each message was taken
    #[arg(long, requires = "ledger")]
    pub times: bool,
    /// Refuse this share for now (4xx)
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub tempfail: f64,
    /// Refuse this share for good (5xx)
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub permfail: f64,
    /// Answer 421 and close for this share
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub close_421: f64,
    /// Where --tempfail, --permfail and --close-421 happen
    #[arg(long, value_name = "PHASE", value_enum, default_value = "dot")]
    pub fail_at: FailAt,
    /// Close the connection of this share of messages without a reply, half of them amid the data, half after the dot
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub drop: f64,
    /// Wait before the reply to the dot, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub delay: u64,
    /// Never answer at this phase
    #[arg(long, value_name = "PHASE", value_enum)]
    pub stall: Option<Phase>,
    /// Seed of the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Turn further connections away with 421
    #[arg(long, value_name = "N")]
    pub max_connections: Option<usize>,
    /// Do not offer PIPELINING
    #[arg(long)]
    pub no_pipelining: bool,
    /// Offer STARTTLS, with a certificate signed by itself, made at start
    #[arg(long)]
    pub starttls: bool,
    /// Offer AUTH PLAIN and LOGIN, and take no mail without
    #[arg(long, value_name = "USER:PASS")]
    pub auth: Option<String>,
    /// Host name in banner and certificate
    #[arg(long, value_name = "NAME", default_value = "sink.loadgen.example")]
    pub name: String,
    /// Store each message taken as NNNN.eml in this folder, with its envelope as JSON in NNNN.env
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Exit after this many messages
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// Write the port of each address to this file, one per line
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
    /// Close connections that stay silent for this long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "300s")]
    pub timeout: Duration,
    /// Show counters each second even if stderr is no terminal
    #[arg(long)]
    pub stats: bool,
    /// Write the summary as JSON ("-": to stdout)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// No counters, no summary
    #[arg(long, short, conflicts_with = "stats")]
    pub quiet: bool,
}

impl Options {
    /// The faults asked for.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults {
            seed: self.seed,
            tempfail: self.tempfail,
            permfail: self.permfail,
            close_421: self.close_421,
            drop: self.drop,
            at: self.fail_at,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim_end_matches('%').parse().map_err(|error| format!("{error}"))?;
    if !(0.0..=100.0).contains(&number) {
        return Err("must be 0 to 100".to_owned());
    }
    Ok(number)
}

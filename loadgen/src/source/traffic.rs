//! What is sent: envelopes and the header fields that differ from message to message.

use super::body::{self, Content};
use super::options::Options;
use crate::ledger::ID_HEADER;
use crate::weighted::Weighted;
use crate::{clock, limits, rng, units};
use anyhow::{bail, Result};
use std::io::Write;

/// Everything needed to render any message of the run from its number.
#[derive(Debug)]
pub struct Traffic {
    run: String,
    from: String,
    domains: Domains,
    recipients: u32,
    seed: u64,
    contents: Contents,
}

#[derive(Debug)]
enum Domains {
    /// By weight.
    Drawn(Weighted<String>),
    /// So many numbered ones, one after the other.
    InTurn(u32),
}

#[derive(Debug)]
enum Contents {
    /// Generated ones, by weight.
    Drawn(Weighted<Content>),
    /// Files, one after the other.
    InTurn(Vec<Content>),
}

/// Different uses of the seed must not draw the same numbers.
const SIZE_STREAM: u64 = 0x51E5;

impl Traffic {
    /// Prepares all contents of a run.
    ///
    /// # Errors
    /// When an option makes no sense, or a file cannot be read.
    pub fn new(options: &Options) -> Result<Self> {
        if options.recipients == 0 || options.recipients > limits::RECIPIENTS_PER_MESSAGE {
            bail!("--recipients must be 1 to {}", limits::RECIPIENTS_PER_MESSAGE);
        }
        let run =
            options.run.clone().unwrap_or_else(|| format!("{:08x}", rng::from_process() as u32));
        if run.is_empty()
            || !run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        {
            bail!("--run may hold letters, digits, '.' and '_' only");
        }
        for text in [&options.from, &options.helo] {
            if text.contains(|c: char| c.is_control() || c == '>' || c == '<') {
                bail!("bad character in {text:?}");
            }
        }
        Ok(Self {
            run,
            from: options.from.clone(),
            domains: domains(options)?,
            recipients: options.recipients,
            seed: options.seed,
            contents: contents(options)?,
        })
    }

    /// The name of the run, the first part of every loadgen id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Recipients of each message.
    #[must_use]
    pub fn recipients(&self) -> u32 {
        self.recipients
    }

    /// The unchanging part of message `seq`.
    #[must_use]
    pub fn content(&self, seq: u64) -> &Content {
        match &self.contents {
            Contents::Drawn(choice) => choice.pick(rng::draw(self.seed ^ SIZE_STREAM, seq)),
            Contents::InTurn(list) => &list[(seq % list.len() as u64) as usize],
        }
    }

    /// Appends the MAIL command of message `seq`.
    pub fn mail(&self, seq: u64, eight_bit_offered: bool, out: &mut Vec<u8>) {
        let eight_bit = eight_bit_offered && self.content(seq).eight_bit;
        for part in
            ["MAIL FROM:<", &self.from, if eight_bit { "> BODY=8BITMIME\r\n" } else { ">\r\n" }]
        {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// Appends the RCPT command for recipient `index` of message `seq`.
    pub fn rcpt(&self, seq: u64, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(b"RCPT TO:<");
        self.address(seq, index, out);
        out.extend_from_slice(b">\r\n");
    }

    /// Appends the header fields of message `seq` that no other has; `date` is rendered by the caller, once a second.
    pub fn header(&self, seq: u64, date: &str, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{ID_HEADER}: {}-{seq}\r\n", self.run);
        if !self.content(seq).has_headers {
            let _ = write!(
                out,
                "Date: {date}\r\nMessage-ID: <{}-{seq}@loadgen.example>\r\nTo: <",
                self.run
            );
            self.address(seq, 0, out);
            out.extend_from_slice(b">\r\n");
        }
    }

    fn address(&self, seq: u64, index: u32, out: &mut Vec<u8>) {
        // Recipients of one message differ in their number, whatever domain each draws.
        let first = rng::below(rng::draw(self.seed, seq), 1_000_000);
        let user = first + u64::from(index);
        let _ = match &self.domains {
            Domains::Drawn(choice) => {
                let domain = choice.pick(rng::draw(self.seed ^ seq, u64::from(index)));
                write!(out, "user{user}@{domain}")
            }
            Domains::InTurn(count) => {
                let recipient = seq * u64::from(self.recipients) + u64::from(index);
                write!(out, "user{user}@{}", numbered(recipient % u64::from(*count) + 1))
            }
        };
    }
}

fn domains(options: &Options) -> Result<Domains> {
    match (options.domain_count, options.in_turn) {
        (Some(0), _) => bail!("--domain-count must be above zero"),
        (Some(count), true) => Ok(Domains::InTurn(count)),
        (Some(count), false) => {
            let names = (1..=u64::from(count)).map(|number| (numbered(number), 1)).collect();
            Ok(Domains::Drawn(Weighted::new(names)?))
        }
        (None, _) => {
            let parsed = Weighted::parse(&options.domains, |name| {
                if name.contains(|c: char| c.is_control() || c.is_whitespace() || "<>@".contains(c))
                {
                    bail!("bad domain {name:?}");
                }
                Ok(name.to_owned())
            });
            Ok(Domains::Drawn(parsed?))
        }
    }
}

fn numbered(number: u64) -> String {
    format!("d{number:04}.example")
}

fn contents(options: &Options) -> Result<Contents> {
    if let Some(folder) = &options.eml_dir {
        return Ok(Contents::InTurn(body::read_folder(folder)?));
    }
    let choice = Weighted::parse(&options.size, |text| {
        let size = units::parse_size(text)?;
        if size > limits::BODY_BYTES {
            bail!("--size above {} bytes", units::thousands(limits::BODY_BYTES as u64));
        }
        Ok(body::generate(size, options.seed, &options.from))
    })?;
    Ok(Contents::Drawn(choice))
}

/// The date header of the current second, rendered when the second changes.
#[derive(Debug, Default)]
pub struct DateLine {
    second: u64,
    text: String,
}

impl DateLine {
    /// Looks at the clock; called once per turn of a worker's loop.
    pub fn refresh(&mut self) {
        let second = clock::unix_seconds();
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = clock::mail_date(second);
        }
    }

    /// The date as a header has it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn domains_in_turn() {
        let words = "x --target h:1 -n 9 --domain-count 3 --in-turn --recipients 2";
        let line = Line::parse_from(words.split(' '));
        let traffic = Traffic::new(&line.options).unwrap();
        let mut domains = Vec::new();
        for (seq, index) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut out = Vec::new();
            traffic.rcpt(seq, index, &mut out);
            let text = String::from_utf8(out).unwrap();
            domains.push(text.split_once('@').unwrap().1.trim_end().to_owned());
        }
        let expected = ["d0001", "d0002", "d0003", "d0001"].map(|name| format!("{name}.example>"));
        assert_eq!(domains, expected);
    }
}

//! How long each step of a message's way takes, where it takes part in a wait that somebody feels.

use super::snapshot::{Labels, Snapshot};
use ringmta_io::timing::Timing;
use std::cell::RefCell;

/// A step that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An attempt over SMTP or LMTP, from MAIL to the last answer.
    AttemptSmtp,
    /// The same by a connection of the policy: its `send`.
    AttemptLua,
    /// The same into a Maildir.
    AttemptMaildir,
    /// From the acceptance of a message to its first attempt.
    QueueWait,
    /// A connection to a host, through a proxy or not.
    Connect,
    /// From there to the answer to the first EHLO.
    Greeting,
    /// A TLS handshake with a next hop, without the command before it.
    TlsOut,
    /// The same with an SMTP client.
    TlsIn,
    /// A TLS handshake with a client of an HTTP listener.
    TlsHttp,
    /// A DKIM signature.
    DkimSign,
    /// A DKIM key, read from where the policy says.
    DkimKey,
    /// A DKIM signer made of its key.
    DkimSigner,
}

/// What a step is told as.
struct Told {
    name: &'static str,
    /// A label of its own.
    label: Option<(&'static str, &'static str)>,
    /// Good ends and others are told apart.
    by_result: bool,
}

impl Step {
    const ALL: [Step; 12] = [
        Step::AttemptSmtp,
        Step::AttemptLua,
        Step::AttemptMaildir,
        Step::QueueWait,
        Step::Connect,
        Step::Greeting,
        Step::TlsOut,
        Step::TlsIn,
        Step::TlsHttp,
        Step::DkimSign,
        Step::DkimKey,
        Step::DkimSigner,
    ];

    fn told(self) -> Told {
        let attempt = |service| Told {
            name: "deliver_message_latency_rollup",
            label: Some(("service", service)),
            by_result: false,
        };
        let opening = |name| Told { name, label: None, by_result: true };
        let tls = |side| Told {
            name: "tls_handshake_latency",
            label: Some(("side", side)),
            by_result: true,
        };
        let plain = |name| Told { name, label: None, by_result: false };
        match self {
            Step::AttemptSmtp => attempt("smtp_client"),
            Step::AttemptLua => attempt("lua"),
            Step::AttemptMaildir => attempt("maildir"),
            Step::QueueWait => plain("queue_wait_latency"),
            Step::Connect => opening("egress_connect_latency"),
            Step::Greeting => opening("egress_greeting_latency"),
            Step::TlsOut => tls("out"),
            Step::TlsIn => tls("in"),
            Step::TlsHttp => tls("http"),
            Step::DkimSign => plain("dkim_signer_sign"),
            Step::DkimKey => plain("dkim_signer_key_fetch"),
            Step::DkimSigner => plain("dkim_signer_creation"),
        }
    }
}

/// How long something took: what came to a good end, and the rest.
#[derive(Default)]
pub struct ByResult(RefCell<[Timing; 2]>);

impl ByResult {
    /// It took `micros`.
    pub fn note(&self, is_well: bool, micros: u64) {
        self.0.borrow_mut()[usize::from(!is_well)].note(micros);
    }

    /// Adds both to the metric `name`, told apart by the label `result`.
    pub fn add_to(&self, name: &'static str, labels: &Labels, sum: &mut Snapshot) {
        for (result, timing) in ["ok", "failed"].into_iter().zip(&*self.0.borrow()) {
            let mut labels = labels.clone();
            labels.push(("result", result.to_string()));
            sum.timing(name, labels, timing);
        }
    }

    /// Adds both as one.
    fn add_whole(&self, name: &'static str, labels: &Labels, sum: &mut Snapshot) {
        self.0.borrow().iter().for_each(|timing| sum.timing(name, labels.clone(), timing));
    }
}

/// How long the steps of one shard took.
#[derive(Default)]
pub(super) struct Steps([ByResult; Step::ALL.len()]);

impl Steps {
    pub(super) fn note(&self, step: Step, is_well: bool, micros: u64) {
        self.0[step as usize].note(is_well, micros);
    }

    pub(super) fn add_to(&self, sum: &mut Snapshot) {
        for (step, taken) in Step::ALL.into_iter().zip(&self.0) {
            let Told { name, label, by_result } = step.told();
            let labels = label.map(|(label, of)| (label, of.to_string())).into_iter().collect();
            match by_result {
                true => taken.add_to(name, &labels, sum),
                false => taken.add_whole(name, &labels, sum),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn each_step_stands_at_its_place() {
        for (at, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, at, "{step:?}");
        }
    }

    #[test]
    fn steps_of_shards_add_up_and_failures_stand_apart() {
        let (a, b) = (Metrics::default(), Metrics::default());
        a.took(Step::Connect, true, 300);
        b.took(Step::Connect, true, 700_000);
        b.took(Step::Connect, false, 20);
        b.took(Step::AttemptLua, false, 20);
        let mut sum = Snapshot::default();
        a.add_to(&mut sum);
        b.add_to(&mut sum);
        let text = sum.prometheus("");
        for line in [
            "egress_connect_latency_bucket{result=\"ok\",le=\"0.0005\"} 1",
            "egress_connect_latency_count{result=\"ok\"} 2",
            "egress_connect_latency_sum{result=\"ok\"} 0.7003",
            "egress_connect_latency_count{result=\"failed\"} 1",
            "deliver_message_latency_rollup_count{service=\"lua\"} 1",
            "tls_handshake_latency_count{side=\"in\",result=\"ok\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}");
        }
    }
}

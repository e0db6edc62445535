//! The name of a scheduled queue: `campaign:tenant@domain!routing_domain`, every part but the domain optional.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::address::EnvelopeAddress;
use crate::meta::Meta;

/// Which scheduled queue a message waits in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName {
    /// Campaign label, from the `campaign` metadata.
    pub campaign: Option<String>,
    /// Tenant label, from the `tenant` metadata.
    pub tenant: Option<String>,
    /// The recipient's domain, lower case.
    pub domain: String,
    /// Where the mail goes instead of the MX of `domain`.
    pub routing_domain: Option<String>,
}

impl QueueName {
    /// The queue of a bare domain.
    pub fn for_domain(domain: impl Into<String>) -> QueueName {
        QueueName { campaign: None, tenant: None, domain: domain.into(), routing_domain: None }
    }

    /// The queue of a message with this metadata and these recipients: the entry `queue` when there is one, else made of
    /// `campaign`, `tenant`, the domain of the first recipient and `routing_domain`. An empty entry is as good as none.
    /// The spool asks it at start and a message all its life, so the two can never differ.
    pub fn of(meta: &Meta, recipients: &[EnvelopeAddress]) -> QueueName {
        let text = |key: &str| meta.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        if let Some(name) = text("queue") {
            return QueueName::parse(name);
        }
        QueueName {
            campaign: text("campaign").map(str::to_owned),
            tenant: text("tenant").map(str::to_owned),
            domain: recipients.first().map(EnvelopeAddress::routing_domain).unwrap_or_default(),
            routing_domain: text("routing_domain").map(str::to_lowercase),
        }
    }

    /// Takes a name apart. Every text is a name: what has no separators is a domain.
    pub fn parse(name: &str) -> QueueName {
        let (labels, rest) = match name.split_once('@') {
            Some((l, r)) => (Some(l), r),
            None => (None, name),
        };
        let (campaign, tenant) = match labels.map(|l| l.split_once(':')) {
            Some(Some((c, t))) => (Some(c), Some(t)),
            Some(None) => (None, labels),
            None => (None, None),
        };
        let (domain, routing) = match rest.split_once('!') {
            Some((d, r)) => (d, Some(r)),
            None => (rest, None),
        };
        let own = |s: Option<&str>| s.filter(|s| !s.is_empty()).map(str::to_owned);
        QueueName {
            campaign: own(campaign),
            tenant: own(tenant),
            domain: domain.to_owned(),
            routing_domain: own(routing),
        }
    }

    /// The domain whose MX (or literal host) the mail is sent to.
    pub fn delivery_domain(&self) -> &str {
        self.routing_domain.as_deref().unwrap_or(&self.domain)
    }
}

impl FromStr for QueueName {
    type Err = std::convert::Infallible;

    fn from_str(s: &str) -> Result<QueueName, Self::Err> {
        Ok(QueueName::parse(s))
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.campaign, &self.tenant) {
            (Some(c), Some(t)) => write!(f, "{c}:{t}@")?,
            (Some(c), None) => write!(f, "{c}:@")?,
            (None, Some(t)) => write!(f, "{t}@")?,
            (None, None) => {}
        }
        f.write_str(&self.domain)?;
        match &self.routing_domain {
            Some(r) => write!(f, "!{r}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for name in ["d", "t@d", "c:t@d", "c:@d", "c:t@d!r", "d!r"] {
            assert_eq!(QueueName::parse(name).to_string(), name);
        }
        let q = QueueName::parse("c1:t1@ok.example!relay.example");
        assert_eq!(q.campaign.as_deref(), Some("c1"));
        assert_eq!(q.tenant.as_deref(), Some("t1"));
        assert_eq!(q.delivery_domain(), "relay.example");
    }

    #[test]
    fn a_queue_is_made_of_metadata_and_recipients() {
        let to = [EnvelopeAddress::parse("u@D.test").unwrap()];
        let of =
            |meta: serde_json::Value| QueueName::of(meta.as_object().unwrap(), &to).to_string();
        let parts = serde_json::json!({"routing_domain": "Relay.Example", "tenant": "t"});
        assert_eq!(of(parts), "t@d.test!relay.example");
        assert_eq!(of(serde_json::json!({"queue": "", "campaign": ""})), "d.test");
        assert_eq!(of(serde_json::json!({"queue": "q!R"})), "q!R");
    }

    #[test]
    fn empty_labels_vanish() {
        assert_eq!(QueueName::parse(":@d").to_string(), "d");
    }
}

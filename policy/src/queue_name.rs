//! The name of a scheduled queue: `campaign:tenant@domain!routing_domain`, every part but the domain optional.

use std::fmt;
use std::str::FromStr;

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
    fn empty_labels_vanish() {
        assert_eq!(QueueName::parse(":@d").to_string(), "d");
    }
}

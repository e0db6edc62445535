//! The hosts of a site, as a ready queue knows them.

use ringmta_options::StsPolicy;
use std::net::IpAddr;
use std::rc::Rc;

/// One host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHost {
    /// Its name, for EHLO checks, TLS and logs.
    pub name: String,
    /// Its address, when policy gives it.
    pub addr: Option<IpAddr>,
    /// Its port, when policy gives it.
    pub port: Option<u16>,
    /// MX preference: lower is tried first.
    pub preference: u16,
}

/// The hosts of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name of the site: part of the ready queue's name.
    pub site: String,
    /// Hosts, best first.
    pub hosts: Vec<PlanHost>,
    /// The hosts are tried in the order they stand in, whatever their preference: a policy has given them so.
    pub fixed: bool,
    /// What the domain demands of its hosts (RFC 8461); only when it is to be enforced.
    pub sts: Option<Rc<StsPolicy>>,
}

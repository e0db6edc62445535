//! SPF, DKIM and DMARC records of the domains that mail is sent for.

use super::names::Names;
use super::report::Report;
use crate::cli::args::CheckArgs;
use ringmta_policy::{DnsFailure, DnsKind};
use std::net::IpAddr;

/// How many domains above one are looked at for its DMARC record.
const DMARC_LOOKS_MAX: usize = 8;

pub(super) fn look(report: &mut Report, names: &Names, args: &CheckArgs) {
    if args.domain.is_empty() {
        let cure = "name the domains mail is sent for with --domain";
        report.warn("SPF, DKIM, DMARC", "not looked at", cure);
    }
    for domain in &args.domain {
        spf(report, names, domain, args.address);
        dkim(report, names, domain, &args.selector);
        dmarc(report, names, domain);
    }
}

/// TXT records of `name` that begin with `version`; the failure is one of DNS itself.
fn texts(names: &Names, name: &str, version: &str) -> Result<Vec<String>, String> {
    match names.ask(name, DnsKind::Txt) {
        Ok(answer) => Ok(of_version(answer.texts, version)),
        Err(DnsFailure::Failed(why)) => Err(why),
        Err(DnsFailure::NoSuchName | DnsFailure::NoData) => Ok(Vec::new()),
    }
}

/// The version stands alone, or in front of the next tag.
fn of_version(texts: Vec<String>, version: &str) -> Vec<String> {
    let fits = |text: &String| {
        let rest = text.get(..version.len()).filter(|start| start.eq_ignore_ascii_case(version));
        let next = text.get(version.len()..).and_then(|rest| rest.chars().next());
        rest.is_some() && next.is_none_or(|c| c == ' ' || c == ';')
    };
    texts.into_iter().filter(fits).collect()
}

fn spf(report: &mut Report, names: &Names, domain: &str, address: Option<IpAddr>) {
    let from = match address {
        Some(IpAddr::V4(v4)) => format!("ip4:{v4}"),
        Some(IpAddr::V6(v6)) => format!("ip6:{v6}"),
        None => "ip4:ADDRESS-OF-THIS-HOST".into(),
    };
    let what = format!("SPF of {domain}");
    match texts(names, domain, "v=spf1").as_deref() {
        Ok([one]) => report.fine(&what, one),
        Ok([]) => report.bad(
            &what,
            "there is none: large receivers refuse or hide such mail",
            format!("publish {domain}. IN TXT \"v=spf1 {from} -all\""),
        ),
        Ok(many) => report.bad(
            &what,
            format!("there are {}: then none counts (RFC 7208 section 4.5)", many.len()),
            "make one of them",
        ),
        Err(why) => report.warn(&what, why, "ask again later"),
    }
}

fn dkim(report: &mut Report, names: &Names, domain: &str, selector: &str) {
    let name = format!("{selector}._domainkey.{domain}");
    let what = format!("DKIM of {domain}");
    // The version may be left out (RFC 6376 section 3.6.1).
    match names.ask(&name, DnsKind::Txt) {
        Ok(answer) => match answer.texts.iter().find_map(|text| public_key(text)) {
            Some("") => {
                report.bad(&what, format!("{name}: this key was withdrawn"), "publish the new one")
            }
            Some(_) => report.fine(&what, format!("{name} holds a key")),
            None => report.bad(&what, format!("{name} holds no key (p=)"), "publish it again"),
        },
        Err(DnsFailure::Failed(why)) => report.warn(&what, why, "ask again later"),
        Err(why) => report.bad(
            &what,
            format!("{name}: {why}"),
            "publish the record that `ringmta init` has printed, or name another with --selector",
        ),
    }
}

/// What stands behind `p=`, without white space at its ends.
fn public_key(record: &str) -> Option<&str> {
    record.split(';').find_map(|tag| tag.trim().strip_prefix("p=")).map(str::trim)
}

fn dmarc(report: &mut Report, names: &Names, domain: &str) {
    let what = format!("DMARC of {domain}");
    let with_above =
        std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, above)| above));
    for name in with_above.filter(|name| name.contains('.')).take(DMARC_LOOKS_MAX) {
        match texts(names, &format!("_dmarc.{name}"), "v=DMARC1").as_deref() {
            Ok([one]) if name == domain => return report.fine(&what, one),
            Ok([one]) => return report.fine(&what, format!("{one} (of _dmarc.{name})")),
            Ok([]) => {}
            Ok(many) => {
                let found = format!("_dmarc.{name} has {}: then none counts", many.len());
                return report.bad(&what, found, "leave one");
            }
            Err(why) => return report.warn(&what, why, "ask again later"),
        }
    }
    report.warn(
        &what,
        "there is none, nor one of a domain above it: large receivers ask for one",
        format!("publish _dmarc.{domain}. IN TXT \"v=DMARC1; p=none\""),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        let texts = ["v=spf1 -all", "v=spf10 -all", "V=SPF1", "other"].map(String::from);
        assert_eq!(of_version(texts.into(), "v=spf1"), ["v=spf1 -all", "V=SPF1"]);
        assert_eq!(public_key("v=DKIM1; k=rsa; p=abc "), Some("abc"));
        assert_eq!(public_key("v=DKIM1; p="), Some(""));
        assert_eq!(public_key("v=spf1 -all"), None);
    }
}

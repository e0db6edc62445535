//! XCLIENT and the parameters of MAIL and RCPT: what is read says the same when it is written again, and nothing is taken
//! that the RFCs forbid.

use ringmta_smtp::server::parameters::{mail, rcpt};
use ringmta_smtp::server::vocabulary::Claim;
use ringmta_smtp::server::xclient::parse;
use std::net::IpAddr;

const SIZE_MAX: usize = 1 << 20;

fn written(claim: &Claim) -> String {
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    };
    let all = [
        ("ADDR", claim.addr.map(address)),
        ("PORT", claim.port.map(|port| port.to_string())),
        ("DESTADDR", claim.dest_addr.map(address)),
        ("DESTPORT", claim.dest_port.map(|port| port.to_string())),
    ];
    let all =
        all.map(|(name, value)| format!("{name}={}", value.unwrap_or("[UNAVAILABLE]".into())));
    all.join(" ")
}

/// xtext of RFC 3461 section 4.
fn is_xtext(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

/// The bytes are an argument of XCLIENT, or the parameters of MAIL or RCPT.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(claim) = parse(text) {
        assert_eq!(parse(&written(&claim)), Some(claim));
    }
    for auth in [false, true] {
        let Ok(found) = mail(text, SIZE_MAX, auth) else { continue };
        assert!(found.size <= SIZE_MAX);
        assert!(found.envid.is_none_or(|id| id.len() <= 100 && is_xtext(&id)));
        assert!(found.ret.is_none_or(|ret| ret == "FULL" || ret == "HDRS"));
    }
    if let Ok(found) = rcpt(text) {
        assert!(found.orcpt.as_ref().is_none_or(|orcpt| orcpt.len() <= 500 && orcpt.contains(';')));
        if let Some(notify) = &found.notify {
            // RFC 3461 section 4.1: NEVER stands alone.
            assert!(notify == "NEVER" || !notify.contains("NEVER"));
        }
        assert_eq!(found.to_json().is_none(), found.orcpt.is_none() && found.notify.is_none());
    }
}

/// Arguments of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "ADDR=192.0.2.1 PORT=5000 DESTADDR=IPV6:2001:db8::1 DESTPORT=25",
        "addr=[UNAVAILABLE] PORT=+32+35",
        "SIZE=1000 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+3D314159 AUTH=<>",
        "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;u+40dst.test",
        "NOTIFY=NEVER ORCPT=utf-8;\u{fc}@dst.test",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

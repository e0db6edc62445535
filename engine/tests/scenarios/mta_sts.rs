//! MTA-STS (RFC 8461) with a domain whose policy is fetched: by our own resolver, and kept over a restart.

use crate::support::dns::{a, mx, txt, NameServer, Zone};
use crate::support::tls::{Ca, HttpsText};
use crate::support::{message, Sink, Site};
use hickory_proto::rr::RecordType;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.sts.test\nmax_age: 86400\n";

#[test]
fn a_policy_is_fetched_once_and_holds_over_a_restart() {
    let ca = Ca::new();
    let Some((https, web)) = HttpsText::start(&ca, "mta-sts.sts.test", POLICY) else { return };
    let std::net::IpAddr::V4(web) = web.ip() else { panic!("{web}") };
    let is_there = Arc::new(AtomicBool::new(true));
    let shown = is_there.clone();
    let server = NameServer::start(move |name, kind| match (name, kind) {
        ("sts.test.", RecordType::MX) => Zone::of(vec![mx(10, "mx.sts.test.")]),
        ("mx.sts.test.", RecordType::A) => Zone::of(vec![a([127, 0, 0, 1])]),
        // Somebody in between may keep us from seeing these.
        (_, _) if !shown.load(Ordering::SeqCst) => Zone::default(),
        ("_mta-sts.sts.test.", RecordType::TXT) => Zone::of(vec![txt("v=STSv1; id=1;")]),
        ("mta-sts.sts.test.", RecordType::A) => Zone::of(vec![a(web)]),
        _ => Zone::default(),
    });
    let sink = Sink::start();
    let mut far_site = Site::to(sink.addr);
    ca.write_issued(far_site.dir(), "mx", "mx.sts.test");
    let dir = far_site.dir().display();
    far_site.listener =
        format!("tls_certificate = '{dir}/mx.pem', tls_private_key = '{dir}/mx.key',");
    let far = far_site.start(1);

    let mut site = Site::new();
    ca.write(&site.dir().join("ca.pem"));
    let file = site.dir().join("ca.pem").display().to_string();
    site.env.push(("SSL_CERT_FILE".into(), file));
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{}' }} }}", server.addr);
    site.path = format!(
        "smtp_port = {}, ip_lookup_strategy = 'Ipv4Only', enable_tls = 'OpportunisticInsecure',
         enable_mta_sts = true,",
        far.smtp.port()
    );
    let deliver = |subject: &str, engine: &crate::support::Engine| {
        engine.accept("a@src.test", &["u@sts.test"], &message(subject));
        let record = site.wait_record("Delivery", |r| r["headers"]["Subject"] == subject);
        let at = record["site"].as_str().unwrap().to_string();
        assert!(at.starts_with("unspecified->mx.sts.test@smtp_client+mta-sts:"), "{at}");
        assert!(record["tls_cipher"].is_string(), "{record}");
    };
    let engine = site.start(1);
    deliver("fetched", &engine);
    assert_eq!(https.requests(), 1);
    let kept = site.dir().join("spool/meta/mta-sts");
    crate::support::wait("the policy on disk", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("mx: mx.sts.test"))
    });
    assert!(engine.terminate().success());
    is_there.store(false, Ordering::SeqCst);
    let engine = site.start(1);
    deliver("kept", &engine);
    assert_eq!(https.requests(), 1);
    drop(engine);
}

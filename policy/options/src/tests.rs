//! What every option table must do.

use super::*;

fn table(items: &[(&str, Plain)]) -> Plain {
    Plain::map(items.iter().map(|(k, v)| (*k, v.clone())))
}

fn err<T: OptionTable>(items: &[(&str, Plain)]) -> String {
    T::parse(&table(items), &mut Notes::default()).unwrap_err()
}

#[test]
fn unknown_name_wrong_type_wrong_value() {
    let e = err::<QueueConfig>(&[("max_agee", Plain::Int(1))]);
    assert!(
        e.starts_with("unknown field `max_agee`, expected one of `egress_pool`, `retry_interval`,"),
        "{e}"
    );
    assert!(e.ends_with("; did you mean `max_age`?"), "{e}");
    assert_eq!(
        err::<QueueConfig>(&[("max_age", Plain::Bool(true))]),
        "option `max_age`: invalid type: boolean `true`, expected a duration (a number of seconds, or text like \"1h 30m\")"
    );
    assert_eq!(
        err::<QueueConfig>(&[("max_age", Plain::str("10x"))]),
        "option `max_age`: invalid value: string \"10x\", expected a duration"
    );
    assert_eq!(err::<EgressPath>(&[("smtp_port", Plain::Int(70_000))]), "option `smtp_port`: invalid value: integer `70000`, expected a whole number from 0 to 65535");
}

#[test]
fn required_and_refused() {
    assert_eq!(err::<EgressSource>(&[]), "missing field `name` (a string)");
    assert_eq!(
        err::<EgressPath>(&[("enable_dane", Plain::Bool(true))]),
        "option `enable_dane` is not supported by this version of ringmta"
    );
    let ok =
        EgressPath::parse(&table(&[("enable_dane", Plain::Bool(false))]), &mut Notes::default());
    assert!(ok.is_ok(), "the default of a refused option is harmless");
}

#[test]
fn options_without_effect_warn_once_each() {
    let mut notes = Notes::default();
    let v = table(&[
        ("name", Plain::str("data")),
        ("path", Plain::str("/s")),
        ("kind", Plain::str("RocksDB")),
        ("flush", Plain::Bool(false)),
    ]);
    Spool::parse(&v, &mut notes).unwrap();
    assert_eq!(notes.warnings.len(), 2);
    assert!(notes.warnings[0]
        .starts_with("kumo.define_spool: option `kind` has no effect: ringmta has one storage"));
}

#[test]
fn empty_tables_are_empty_lists() {
    let v = table(&[("relay_hosts", Plain::list(vec![])), ("peer", Plain::list(vec![]))]);
    let l = EsmtpListener::parse(&v, &mut Notes::default()).unwrap();
    assert!(l.relay_hosts.is_empty());
    assert!(!l.has_overrides());
}

#[test]
fn overrides_follow_the_peer_and_the_local_address() {
    let by_peer = Plain::map([(
        "10.0.0.0/8",
        table(&[("banner", Plain::str("inside")), ("max_message_size", Plain::Int(5))]),
    )]);
    let by_via = Plain::map([("192.0.2.1", table(&[("banner", Plain::str("via"))]))]);
    let l =
        EsmtpListener::parse(&table(&[("peer", by_peer), ("via", by_via)]), &mut Notes::default())
            .unwrap();
    let at =
        |peer: &str, local: &str| l.for_connection(peer.parse().unwrap(), local.parse().unwrap());
    assert_eq!(at("10.1.1.1", "192.0.2.9").banner, "inside");
    assert_eq!(at("10.1.1.1", "192.0.2.1").banner, "via");
    assert_eq!(at("10.1.1.1", "192.0.2.1").max_message_size, 5);
    assert_eq!(at("11.1.1.1", "192.0.2.9"), l);
    let bad = Plain::map([("10.0.0.0/8", table(&[("listen", Plain::str("x"))]))]);
    assert_eq!(
        err::<EsmtpListener>(&[("peer", bad)]),
        "option `peer`: key `10.0.0.0/8`: option `listen` can only be set for the whole listener"
    );
}

#[test]
fn defaults_survive_the_round_trip_through_plain_data() {
    fn check<T: OptionTable + PartialEq>(start: T) {
        let fields = start.fields();
        let back = T::parse(&fields, &mut Notes::default()).unwrap();
        assert_eq!(back, start);
    }
    check(EgressPath::default());
    check(QueueConfig::default());
    check(EsmtpListener::default());
    check(HttpListener::default());
    check(EgressSource { name: "s".into(), ..Default::default() });
    check(EgressPool {
        name: "p".into(),
        entries: vec![PoolEntry { name: "s".into(), weight: 3 }],
        ..Default::default()
    });
}

#[test]
fn contract_is_complete() {
    assert_eq!(EgressPath::OPTIONS.len(), 60);
    // `proxy_hosts`, `per_peer` and `per_network` are our own.
    assert_eq!(EsmtpListener::OPTIONS.len(), 28);
    assert_eq!(QueueConfig::OPTIONS.len(), 13);
    assert_eq!(EgressSource::OPTIONS.len(), 13);
    assert_eq!(DkimSigner::OPTIONS.len(), 14);
    // `index` and the three of how long files are kept are our own.
    assert_eq!(LocalLogs::OPTIONS.len(), 15);
    assert_eq!(Spool::OPTIONS.len(), 7);
    // Seven are our own: what a listener serves, to whom, and how much.
    assert_eq!(HttpListener::OPTIONS.len(), 14);
}

#[test]
fn retry_delay_doubles_up_to_the_cap() {
    use std::time::Duration;
    let q = QueueConfig {
        retry_interval: Duration::from_secs(60),
        max_retry_interval: Some(Duration::from_secs(3600)),
        ..Default::default()
    };
    let mins: Vec<u64> = (1..=8).map(|n| q.delay_for_attempt(n).as_secs() / 60).collect();
    assert_eq!(mins, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(q.delay_for_attempt(u32::MAX).as_secs(), 3600);
}

use super::*;

#[test]
fn shards_add_up_and_render() {
    let (a, b) = (Metrics::default(), Metrics::default());
    a.received_smtp.add(3);
    b.received_smtp.add(4);
    let path = MetricPath { provider: "big", is_named: true, source: "s1", pool: "p" };
    let id = MessageId::new_v1(1, 0, [0; 6]);
    a.delivered("s->d@smtp_client", 2, id, Some(path));
    b.delivered("s->e@smtp_client", 1, id, Some(MetricPath { source: "s2", ..path }));
    b.failed("s->e@smtp_client", 1, Some(path));
    b.transfail("s->e@smtp_client", 5, None);
    let mut sum = Snapshot::default();
    let mut other = Snapshot::default();
    a.add_to(&mut sum);
    b.add_to(&mut other);
    sum.add(&other);
    assert_eq!(sum.value("total_messages_received", "esmtp_listener"), 7);
    let text = sum.prometheus("total_messages_d");
    assert!(text.contains("total_messages_delivered{service=\"smtp_client:s->d@smtp_client\"} 2"));
    assert!(!text.contains("received"));
    let by_path = "total_messages_delivered_by_provider_and_source{provider=\"big\",source=\"s2\",pool=\"p\"} 1";
    assert!(text.contains(by_path), "{text}");
    assert!(text.contains("total_messages_delivered_by_provider{provider=\"big\"} 3"), "{text}");
    let json = sum.json("total_messages_fail_by_provider");
    assert_eq!(json["total_messages_fail_by_provider"]["value"]["provider"]["big"], 1);
    let by_path = &json["total_messages_fail_by_provider_and_source"]["value"];
    assert_eq!(by_path["provider"]["big"]["source"]["s1"]["pool"]["p"], 1);
    a.forget_site("s->d@smtp_client");
    let mut later = Snapshot::default();
    a.add_to(&mut later);
    assert_eq!(later.value("total_messages_delivered", "smtp_client"), 2);
    assert_eq!(later.value("total_messages_delivered", "smtp_client:s->d@smtp_client"), 0);
    assert_eq!(sum.json("")["total_messages_received"]["value"]["service"]["esmtp_listener"], 7);
}

#[test]
fn sites_stand_for_providers_and_go_with_their_ready_queues() {
    let metrics = Metrics::default();
    let site = |source| MetricPath { provider: "d.test", is_named: false, source, pool: "p" };
    metrics.failed("s1->d.test@smtp_client", 2, Some(site("s1")));
    metrics.failed("s2->d.test@smtp_client", 3, Some(site("s2")));
    let failed = || {
        let mut sum = Snapshot::default();
        metrics.add_to(&mut sum);
        let told = sum.json("total_messages_fail_by_provider");
        told["total_messages_fail_by_provider"]["value"]["provider"]["d.test"].clone()
    };
    assert_eq!(failed(), 5);
    metrics.forget_site("s1->d.test@smtp_client");
    assert_eq!(failed(), 3);
    metrics.forget_site("s2->d.test@smtp_client");
    assert!(failed().is_null());
}

#[test]
fn names_beyond_the_bound_are_one_sum() {
    let metrics = Metrics::default();
    for n in 0..SITES_MAX + 7 {
        let name = format!("s->{n}.test@smtp_client");
        let provider = format!("{n}.test");
        let path = MetricPath { provider: &provider, is_named: false, source: "s", pool: "p" };
        metrics.transfail(&name, 1, Some(path));
    }
    let mut sum = Snapshot::default();
    metrics.add_to(&mut sum);
    let told = sum.json("total_messages_transfail");
    let of = |name: &str, label: &str| told[name]["value"][label].as_object().unwrap().clone();
    let services = of("total_messages_transfail", "service");
    // Those with a name, and the sum over all.
    assert_eq!(services.len(), SITES_MAX + 1);
    assert_eq!(services["smtp_client"], SITES_MAX + 7);
    let providers = of("total_messages_transfail_by_provider", "provider");
    assert_eq!((providers.len(), &providers[OTHER]), (SITES_MAX + 1, &7.into()));
}

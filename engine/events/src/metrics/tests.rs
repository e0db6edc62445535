use super::*;

#[test]
fn shards_add_up_and_render() {
    let (a, b) = (Metrics::default(), Metrics::default());
    a.received_smtp.add(3);
    b.received_smtp.add(4);
    let path = MetricPath { provider: "big", source: "s1", pool: "p" };
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

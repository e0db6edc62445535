use super::*;
use crate::rate::Limit;

fn rate(text: &str) -> Throttle {
    Throttle::parse(text).unwrap()
}

fn cycling_path() -> EgressPath {
    EgressPath {
        max_deliveries_per_connection: 10,
        max_connection_rate: Some(rate("10/s")),
        max_message_rate: Some(rate("1000/s,max_burst=50")),
        ..EgressPath::default()
    }
}

#[test]
fn a_path_that_cannot_reach_its_rate() {
    let found = Ceilings::of_path(&cycling_path());
    let want = json!({
        "max_concurrent_dispatchers": {"value": 32, "source": {"kind": "primary"}, "display": "32"},
        "max_message_rate":
            {"value": 100, "source": {"kind": "reconnect_cycling"}, "display": "10 × 10/s = 100/s"},
        "max_message_rate_declared": "1000/s",
        "max_connection_rate": {"value": 10, "source": {"kind": "primary"}, "display": "10/s"},
        "max_source_selection_rate": null,
    });
    assert_eq!(found.to_json(), want);
    assert_eq!(Ceilings::from_json(&want), Ok(found.clone()));
    let text = "ceilings:\n  concurrent dispatchers: 32\n    source: connection_limit\n  message rate:           10 × 10/s = 100/s\n    source: max_deliveries_per_connection × max_connection_rate\n    declared: max_message_rate = 1000/s ← effectively unreachable\n  connection rate:        10/s\n    source: max_connection_rate\n";
    assert_eq!(found.text(), text);
}

#[test]
fn the_lowest_of_each_axis_counts_in_its_own_units() {
    let path = EgressPath {
        additional_connection_limits: [("all".into(), Limit::new(7))].into(),
        max_message_rate: Some(rate("1/s")),
        additional_message_rate_throttles: [("provider".into(), rate("1800/h"))].into(),
        source_selection_rate: Some(rate("500/d,max_burst=1")),
        additional_source_selection_rates: [("warm".into(), rate("100/d"))].into(),
        ..EgressPath::default()
    };
    let found = Ceilings::of_path(&path).to_json();
    let additional = |name: &str| json!({"kind": "additional", "name": name});
    assert_eq!(
        found["max_concurrent_dispatchers"],
        json!({"value": 7, "source": additional("all"), "display": "7"})
    );
    assert_eq!(
        found["max_message_rate"],
        json!({"value": 0.5, "source": additional("provider"), "display": "1800/h"})
    );
    assert_eq!(found["max_message_rate_declared"], "1/s");
    assert_eq!(found["max_source_selection_rate"]["source"], additional("warm"));
    assert_eq!(found["max_source_selection_rate"]["display"], "100/d");
    assert_eq!(found["max_connection_rate"], Value::Null);
}

#[test]
fn a_rate_that_can_be_reached_is_not_told_twice() {
    let path = EgressPath { max_message_rate: Some(rate("5/s")), ..cycling_path() };
    let found = Ceilings::of_path(&path);
    assert_eq!((found.message_rate.as_ref().unwrap().value, &found.declared), (5.0, &None));
    // With a slower queue in front it is out of reach.
    let queue = QueueConfig { max_message_rate: Some(rate("60/min")), ..QueueConfig::default() };
    let both = Ceilings::of_path_within(&path, Ceilings::of_queue(&queue)).to_json();
    let source = json!({"kind": "other", "name": "scheduled queue max_message_rate"});
    let want = json!({"value": 1, "source": source, "display": "60/m"});
    assert_eq!(
        (&both["max_message_rate"], &both["max_message_rate_declared"]),
        (&want, &json!("5/s"))
    );
    assert_eq!(Ceilings::of_queue(&QueueConfig::default()), Ceilings::default());
}

#[test]
fn bad_tables_name_the_field() {
    for (bad, part) in [
        (json!([]), "expected a table of constraints"),
        (json!({"max_rate": {}}), "unknown field `max_rate`"),
        (json!({"max_message_rate": {}}), "`max_message_rate`: missing field `source`"),
        (json!({"max_message_rate_declared": 5}), "expected a string"),
        (
            json!({"max_message_rate": {"value": 1, "display": "x", "source": {"kind": "moon"}}}),
            "unknown variant `moon`",
        ),
        (
            json!({"max_message_rate": {"value": -1, "display": "x", "source": {"kind": "primary"}}}),
            "missing field `value`",
        ),
    ] {
        let e = Ceilings::from_json(&bad).unwrap_err();
        assert!(e.contains(part), "{bad}: {e}");
    }
}

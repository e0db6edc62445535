//! Limits per client address and network at a listener.

use crate::support::{wait, Site, Smtp};

fn site(limits: &str) -> Site {
    let mut site = Site::new();
    site.listener = limits.into();
    site
}

#[test]
fn connections_of_one_address() {
    // Two shards: the limit is one over both.
    let engine = site("per_peer = { max_connections = 2 },").start(2);
    let (first, _second) = (engine.greeted(), engine.greeted());
    for _ in 0..4 {
        let mut third = Smtp::connect(engine.smtp);
        assert_eq!(third.reply().codes(), "421 4.7.0");
        third.expect_closed();
    }
    drop(first);
    wait("room again", || Smtp::connect(engine.smtp).reply().code == 220);
    assert!(engine.metric("peer_limit_refusals{service=\"esmtp_listener\"}") >= 4.0);
}

#[test]
fn connections_of_one_network_begun() {
    let engine = site("per_network = { max_connection_rate = '3/day' },").start(2);
    let codes: Vec<u16> = (0..5).map(|_| Smtp::connect(engine.smtp).reply().code).collect();
    assert_eq!(codes, [220, 220, 220, 421, 421]);
}

#[test]
fn messages_begun_on_several_connections() {
    let engine = site("per_peer = { max_message_rate = '2/day' },").start(2);
    let mail = |client: &mut Smtp| client.command("MAIL FROM:<a@src.test>").codes();
    let (mut one, mut other) = (engine.greeted(), engine.greeted());
    assert_eq!(mail(&mut one), "250 2.1.0");
    assert_eq!(mail(&mut other), "250 2.1.0");
    one.expect(250, "RSET");
    assert_eq!(mail(&mut one), "450 4.7.1");
    // The session goes on.
    one.expect(250, "NOOP");
}

#[test]
fn who_is_refused_too_much_is_turned_away() {
    let engine = site("relay_hosts = {}, per_peer = { max_rejection_rate = '3/day' },").start(2);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.test>");
    for _ in 0..4 {
        assert_eq!(client.command("RCPT TO:<u@dst.test>").codes(), "550 5.7.1");
    }
    assert_eq!(client.reply().codes(), "421 4.7.0");
    client.expect_closed();
    assert_eq!(Smtp::connect(engine.smtp).reply().codes(), "421 4.7.0");
}

#[test]
fn some_peers_have_limits_of_their_own() {
    let own = "per_peer = { max_connections = 1 },
      peer = { ['127.0.0.0/8'] = { per_peer = { max_connections = 2 } } },";
    let engine = site(own).start(1);
    let _open = (engine.greeted(), engine.greeted());
    assert_eq!(Smtp::connect(engine.smtp).reply().code, 421);
}

#[test]
fn a_policy_sets_them_for_a_connection() {
    let mut site = Site::new();
    site.extra = "kumo.on('smtp_server_get_dynamic_parameters', function(listener, conn_meta)
      return { per_peer = { max_connections = 1 } }
    end)"
        .into();
    let engine = site.start(1);
    let _open = engine.greeted();
    assert_eq!(Smtp::connect(engine.smtp).reply().code, 421);
}

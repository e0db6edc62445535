//! Mistakes of a policy and services that are down, seen from SMTP: each costs its own command, and no other session waits.

use crate::support::{message, wait, Site};
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes connections and says nothing; counts them.
fn mute() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            seen.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut buf = [0; 4096];
                while stream.read(&mut buf).is_ok_and(|n| n > 0) {}
            });
        }
    });
    (port, count)
}

/// Calls of clients by the user of the sender; `PORT` and `LIMIT` (seconds) are put in.
const CALLS: [(&str, &str); 5] = [
    ("http", "kumo.http.build_client({ timeout = LIMIT }):get('http://127.0.0.1:PORT/'):send()"),
    ("redis", "require('redis').open({ node = 'redis://127.0.0.1:PORT/', connect_timeout = LIMIT }):query('PING')"),
    ("nats", "kumo.nats.connect { servers = { '127.0.0.1:PORT' }, connection_timeout = LIMIT }"),
    ("amqp", "kumo.amqp.basic_publish { routing_key = 'q', payload = 'x', connection = { host = '127.0.0.1', port = PORT, connect_timeout = LIMIT } }"),
    ("dns", "kumo.dns.lookup_mx 'hangs.test'"),
];

/// A site whose handler of MAIL FROM makes the call its sender names, and refuses with the error it caught.
fn site(port: u16, limit: Duration, name_server: &str) -> Site {
    let mut site = Site::new();
    site.init = format!("kumo.dns.configure_resolver {{ name_servers = {{ '{name_server}' }} }}");
    site.extra = "local calls = {}\n".into();
    for (user, call) in CALLS {
        let call =
            call.replace("PORT", &port.to_string()).replace("LIMIT", &limit.as_secs().to_string());
        site.extra.push_str(&format!("calls['{user}'] = function() {call} end\n"));
    }
    site.extra.push_str(
        "kumo.on('smtp_server_mail_from', function(sender)
  local call = calls[sender.user]
  if not call then return end
  local ok, why = pcall(call)
  kumo.reject(550, '5.7.1 caught ' .. (ok and 'nothing' or tostring(why):match '[^\\n]*'))
end)",
    );
    site
}

#[test]
fn a_service_that_is_down_costs_its_own_command() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let site = site(closed.port(), Duration::from_secs(5), &udp.to_string());
    let engine = site.start(1);
    let mut client = engine.greeted();
    for (user, _) in CALLS {
        let reply = client.command(format!("MAIL FROM:<{user}@src.test>"));
        let says = if user == "dns" { "DNS failed" } else { "refused" };
        assert!(reply.code == 550 && reply.text().contains(says), "{user}: {reply:?}");
    }
    let reply = client.transaction("a@src.test", &["u@dst.test"], &message("good"));
    assert_eq!(reply.code, 250);
}

#[test]
fn a_service_that_never_answers_holds_only_who_asked_it() {
    const LIMIT: Duration = Duration::from_secs(6);
    let (port, connections) = mute();
    // Bound, and never read.
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let site = site(port, LIMIT, &udp.local_addr().unwrap().to_string());
    let engine = site.start(1);
    let started = Instant::now();
    let mut hung: Vec<_> = CALLS.map(|(user, _)| (user, engine.greeted())).into();
    for (user, client) in &mut hung {
        client.send(format!("MAIL FROM:<{user}@src.test>\r\n"));
    }
    wait("all of them to ask", || connections.load(Ordering::SeqCst) >= CALLS.len() - 1);
    engine.accept("a@src.test", &["u@dst.test"], &message("quick"));
    let quick = started.elapsed();
    for (user, mut client) in hung {
        let reply = client.reply();
        let text = reply.text();
        assert!(reply.code == 550 && !text.contains("caught nothing"), "{user}: {reply:?}");
        let took = started.elapsed();
        assert!(user == "dns" || took >= LIMIT, "{user} ended after {took:?}: {text}");
        client.expect(250, "MAIL FROM:<b@src.test>");
    }
    assert!(quick < LIMIT, "another session waited {quick:?}");
}

#[test]
fn mistakes_of_every_kind_cost_one_command() {
    let mistakes = [
        ("type", "kumo.make_queue_config { max_age = {} }", "option `max_age`"),
        ("cycle", "local t = {} t.t = t kumo.serde.json_encode(t)", "does it contain itself?"),
        ("memory", "string.rep('x', (1 << 31) - 1)", "wants more memory"),
        ("loop", "while true do end", "ran for"),
        ("yield", "while true do coroutine.yield() end", "coroutine.yield"),
        ("raise", "error({})", "table"),
        ("init", "kumo.define_spool { name = 'x', path = '/x' }", "`pre_init` or `init`"),
        ("stack", "local function f() return 1 + f() end f()", "stack overflow"),
    ];
    let mut site = Site::new();
    site.extra = "kumo.on('smtp_server_mail_from', function(sender)\n".into();
    for (user, code, _) in mistakes {
        site.extra.push_str(&format!("  if sender.user == '{user}' then {code} end\n"));
    }
    site.extra.push_str("end)");
    let engine = site.start(1);
    let mut client = engine.greeted();
    for (user, code, says) in mistakes {
        let reply = client.command(format!("MAIL FROM:<{user}@src.test>"));
        assert_eq!(reply.codes(), "451 4.3.0", "{code}");
        engine.wait_says(says);
        let reply = client.transaction("a@src.test", &["u@dst.test"], &message(user));
        assert_eq!(reply.code, 250, "after {code}: {reply:?}");
    }
}

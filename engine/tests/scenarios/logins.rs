//! Credentials of many sessions at once, and handlers that do not decide about them.

use crate::support::{http, Engine, Site, Smtp};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use ringmta_smtp::limits::AUTH_GUESSES_PER_PEER;
use std::collections::BTreeMap;
use std::thread;

/// More sessions than a peer has guesses.
const SESSIONS: usize = 2 * AUTH_GUESSES_PER_PEER;

/// A policy that asks somebody else, who takes a while.
const ASKS_ELSEWHERE: &str = "
local function look(password)
  kumo.sleep(0.5)
  return password == 'secret'
end
kumo.on('smtp_server_auth_plain', function(authz, authc, password) return look(password) end)
kumo.on('http_server_validate_auth_basic', function(user, password) return look(password) end)";

/// A policy that fails, refuses in its own words, or knows who it is.
const SAYS_MANY_THINGS: &str = "
local function look(password)
  if password == 'broken' then error 'no answer from the directory' end
  if password == 'later' then kumo.reject(454, '4.7.0 the directory is closed') end
  if password == 'refused' then kumo.reject(535, '5.7.8 not you') end
  if password == 'endless' then kumo.sleep(100000) end
  return password == 'secret'
end
kumo.on('smtp_server_auth_plain', function(authz, authc, password) return look(password) end)
kumo.on('http_server_validate_auth_basic', function(user, password) return look(password) end)";

fn site(policy: &str) -> Site {
    let mut site = Site::new();
    site.extra = policy.into();
    site
}

fn auth(password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0mailing\0{password}")))
}

fn over_http(url: &str, password: &str) -> http::Answer {
    let value = STANDARD.encode(format!("mailing:{password}"));
    http::request("GET", url, &[("authorization", &format!("Basic {value}"))], None)
}

/// What each of many sessions is answered that log in at once, counted.
fn by_smtp(engine: &Engine, password: impl Fn(usize) -> String) -> BTreeMap<u16, usize> {
    let mut clients: Vec<Smtp> = (0..SESSIONS).map(|_| engine.greeted()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(auth(&password(number)) + "\r\n");
    }
    counted(clients.iter_mut().map(|client| client.reply().code))
}

fn counted(codes: impl Iterator<Item = u16>) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    codes.for_each(|code| *counts.entry(code).or_default() += 1);
    counts
}

fn assert_most_are_held(counts: &BTreeMap<u16, usize>, wrong: u16, held: u16) {
    assert_eq!(counts.values().sum::<usize>(), counts[&wrong] + counts[&held], "{counts:?}");
    // (One more is forgiven every fifteen seconds.)
    let looked_at = counts[&wrong];
    assert!((AUTH_GUESSES_PER_PEER..=AUTH_GUESSES_PER_PEER + 2).contains(&looked_at), "{counts:?}");
}

#[test]
fn guesses_that_are_asked_at_once_are_counted() {
    let engine = site(ASKS_ELSEWHERE).start(1);
    let counts = by_smtp(&engine, |number| format!("guess {number}"));
    assert_most_are_held(&counts, 535, 421);
}

#[test]
fn guesses_that_are_asked_at_once_over_http_are_counted() {
    let engine = site(ASKS_ELSEWHERE).start(1);
    let url = engine.url("/metrics");
    let ask = |number: usize| {
        let url = url.clone();
        thread::spawn(move || over_http(&url, &format!("guess {number}")).status)
    };
    let asked: Vec<_> = (0..SESSIONS).map(ask).collect();
    let counts = counted(asked.into_iter().map(|one| one.join().unwrap()));
    assert_most_are_held(&counts, 401, 429);
}

/// Many sessions of one sender start at once: nobody is turned away.
#[test]
fn a_crowd_waits_its_turn() {
    let engine = site(ASKS_ELSEWHERE).start(1);
    assert_eq!(by_smtp(&engine, |_| "secret".into()), BTreeMap::from([(235, SESSIONS)]));
}

#[test]
fn a_handler_that_fails_has_not_said_that_a_password_is_wrong() {
    let engine = site(SAYS_MANY_THINGS).start(1);
    let url = engine.url("/metrics");
    for _ in 0..AUTH_GUESSES_PER_PEER {
        let undecided = over_http(&url, "broken");
        assert_eq!((undecided.status, &*undecided.text()), (500, "try again later\n"));
        assert_eq!(over_http(&url, "later").status, 500);
    }
    for _ in 0..3 {
        assert_eq!(engine.greeted().command(auth("broken")).codes(), "451 4.3.0");
        assert_eq!(engine.greeted().command(auth("later")).codes(), "454 4.7.0");
    }
    assert_eq!(over_http(&url, "secret").status, 200);
    assert_eq!(engine.greeted().command(auth("secret")).code, 235);
    // One that refuses in words of its own has.
    for _ in 0..AUTH_GUESSES_PER_PEER / 4 {
        assert_eq!(engine.greeted().command(auth("refused")).codes(), "535 5.7.8");
        assert_eq!(over_http(&url, "refused").status, 401);
    }
    let held = (0..AUTH_GUESSES_PER_PEER).any(|_| over_http(&url, "refused").status == 429);
    assert!(held, "still listened to");
    assert_eq!(engine.greeted().command(auth("secret")).codes(), "421 4.7.0");
}

#[test]
fn a_handler_that_does_not_end_is_not_waited_for() {
    let mut site = site(SAYS_MANY_THINGS);
    site.extra += "
kumo.on('smtp_server_rewrite_response', function(status) if status == 250 then kumo.sleep(100000) end end)";
    site.listener = "data_processing_timeout = '1s',".into();
    let engine = site.start(1);
    let url = engine.url("/metrics");
    let asked = thread::spawn(move || over_http(&url, "endless").status);
    let mut client = engine.greeted();
    assert_eq!(client.command(auth("endless")).codes(), "451 4.3.0");
    assert_eq!(asked.join().unwrap(), 500);
}

//! Passwords that are guessed at the sandbox's doors: who has guessed too often is not listened to for a while.

use crate::sandbox_support::{get, pop3_for, sandbox_of, Client};
use ringmta_sandbox::passwords::Passwords;
use ringmta_sandbox::settings::{SendLogins, Smtp};
use ringmta_sandbox::Settings;
use ringmta_smtp::limits::AUTH_GUESSES_PER_PEER;
use std::net::SocketAddr;

/// Guesses until the answer is another than the first; that answer. A few more may be forgiven while this goes on.
fn guessed(mut guess: impl FnMut() -> String) -> String {
    let first = guess();
    for count in 1..2 * AUTH_GUESSES_PER_PEER {
        let answer = guess();
        if answer != first {
            assert!(count >= AUTH_GUESSES_PER_PEER, "{answer} after {count} times {first}");
            return answer;
        }
    }
    panic!("still listened to: {first}");
}

/// The last line that is answered to the last of these.
fn last_line(at: SocketAddr, said: &[&str]) -> String {
    let mut client = Client::connect(at);
    let mut line = client.line();
    for one in said {
        client.send(format!("{one}\r\n"));
        line = client.line();
        while line.as_bytes().get(3) == Some(&b'-') && line.starts_with("250") {
            line = client.line();
        }
    }
    line
}

fn logins() -> Passwords {
    Passwords::parse("ann:secret").unwrap()
}

#[test]
fn at_the_page() {
    let (_running, at) =
        sandbox_of(|| Settings { web_logins: Some(logins()), ..Settings::default() });
    let list = |login: &str| Client::connect(at.web).request("GET", "/api/v1/messages", login, b"");
    // ann:secret and ann:wrong.
    let (right, wrong) = ("Basic YW5uOnNlY3JldA==", "Basic YW5uOndyb25n");
    let [right, wrong] = [right, wrong].map(|login| format!("Authorization: {login}\r\n"));
    assert_eq!(list(&right).status, 200);
    let told = guessed(|| {
        let reply = list(&wrong);
        format!("{} {}", reply.status, reply.header("retry-after").is_some())
    });
    assert_eq!(told, "429 true");
    // What is right is not told apart from what is wrong.
    assert_eq!(list(&right).status, 429);
    assert_eq!((get(at.web, "/api/v1/messages").status, get(at.web, "/livez").status), (401, 200));
}

#[test]
fn at_sending() {
    let send_logins = || SendLogins::File(logins());
    let (_running, at) =
        sandbox_of(move || Settings { send_logins: send_logins(), ..Settings::default() });
    // ann:wrong.
    let wrong = "Authorization: Basic YW5uOndyb25n\r\n";
    let told = guessed(|| {
        let reply = Client::connect(at.web).request("POST", "/api/v1/send", wrong, b"{}");
        let waits = reply.header("retry-after").is_some();
        format!("{} {waits} {}", reply.status, reply.json()["Error"])
    });
    assert!(told.starts_with("429 true \"too many wrong passwords"), "{told}");
}

#[test]
fn by_smtp() {
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp { logins: Some(logins()), insecure_logins: true, ..Smtp::default() },
        ..Settings::default()
    });
    // ann:wrong.
    let told = guessed(|| last_line(at.smtp, &["EHLO x", "AUTH PLAIN AGFubgB3cm9uZw=="]));
    assert!(told.starts_with("421 4.7.0 "), "{told}");
}

#[test]
fn by_pop3() {
    let (_running, at) =
        sandbox_of(|| Settings { pop3: pop3_for("ann:secret"), ..Settings::default() });
    let told = guessed(|| last_line(at.pop3.unwrap(), &["USER ann", "PASS wrong"]));
    assert!(told.starts_with("-ERR [SYS/TEMP] "), "{told}");
}

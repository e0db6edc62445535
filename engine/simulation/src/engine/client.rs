//! Clients: they send messages in sessions of any manners, and write down what they are told.

use crate::engine::http;
use crate::engine::ledger::{Outcome, Sent};
use crate::engine::stage::Stage;
use crate::engine::wire::Wire;
use ringmta_io as io;
use ringmta_io::sim::rng::{Rng, MILLION};
use std::rc::Rc;
use std::time::Duration;

/// Recipients of a message, at the most.
const RECIPIENTS_MAX: u64 = 4;
/// Largest body: now and then one that fills a good part of a segment.
const BODY_BYTES_MAX: u64 = 20_000;

/// Sends messages until there are enough of them.
pub async fn run(stage: Rc<Stage>) {
    let pause = 1 << stage.world.rng.between(16, 31);
    while stage.may_send() {
        io::sleep(Duration::from_nanos(stage.world.rng.below(pause))).await;
        if stage.plan.http && stage.engine.get().is_some() && stage.world.rng.chance(MILLION / 3) {
            let Some(number) = stage.next_number() else { break };
            if let Err(error) = http::inject(&stage, number).await {
                stage.world.note(format!("client: injection {number}: {error}"));
            }
            continue;
        }
        // However a session ends: what it was told is written down.
        if let Err(error) = session(&stage).await {
            stage.world.note(format!("client: {error}"));
        }
    }
    stage.clients.set(stage.clients.get() - 1);
}

async fn session(stage: &Rc<Stage>) -> std::io::Result<()> {
    let Some(to) = stage.engine.get() else {
        // A start may wait for a disk that hangs: its whole deadline in steps of microseconds would be millions.
        io::sleep(Duration::from_millis(1)).await;
        return Ok(());
    };
    let rng = &stage.world.rng;
    let mut wire = Wire::connect(to).await?;
    if wire.reply().await?.0 != 220 {
        return Ok(());
    }
    wire.send(b"EHLO client.test\r\n").await?;
    wire.reply().await?;
    let pipelined = rng.flip();
    while stage.may_send() && rng.chance(MILLION * 3 / 4) {
        let Some(number) = stage.next_number() else { break };
        let envelope = make(stage, number);
        if !transaction(stage, &mut wire, number, &envelope, pipelined).await? {
            return Ok(());
        }
        match rng.below(8) {
            0 => say(&mut wire, "RSET").await?,
            1 => say(&mut wire, "NONSENSE").await?,
            2 => pause(rng, 28).await,
            _ => {}
        }
    }
    if rng.flip() {
        say(&mut wire, "QUIT").await?;
    }
    Ok(())
}

async fn say(wire: &mut Wire, line: &str) -> std::io::Result<()> {
    wire.send(format!("{line}\r\n").as_bytes()).await?;
    wire.reply().await.map(|_| ())
}

async fn pause(rng: &Rng, bits: u64) {
    io::sleep(Duration::from_nanos(rng.below(1 << rng.between(10, bits)))).await;
}

/// Makes message `number` known. Gives its recipients.
fn make(stage: &Stage, number: u64) -> Vec<String> {
    let rng = &stage.world.rng;
    let recipient =
        |at: u64| format!("r{at}.m{number}@d{}.test", rng.below(stage.plan.domains.len() as u64));
    let recipients = (0..rng.between(1, RECIPIENTS_MAX)).map(recipient).collect();
    let body = Rc::new(body(rng, number));
    let life = stage.ledger.borrow().life;
    let sent = Sent { life, body, outcome: Outcome::Unknown, recipients: Vec::new() };
    stage.ledger.borrow_mut().sent.insert(number, sent);
    recipients
}

/// Lines of any length, some of them dots, some of 8-bit bytes; every one ends with CRLF.
fn body(rng: &Rng, number: u64) -> Vec<u8> {
    let most = if rng.chance(MILLION / 12) { BODY_BYTES_MAX } else { 1500 };
    let bytes = rng.below(most) as usize;
    let eight_bit = rng.chance(MILLION / 8);
    let mut body = format!("Subject: {number}\r\n\r\n").into_bytes();
    while body.len() < bytes {
        match rng.below(6) {
            0 => body.extend_from_slice(b"."),
            1 => body.extend_from_slice(b"..and so on"),
            2 if eight_bit => body.extend_from_slice("über".as_bytes()),
            _ => {
                let letter = b'a' + rng.below(26) as u8;
                body.resize(body.len() + rng.below(200) as usize, letter);
            }
        }
        body.extend_from_slice(b"\r\n");
    }
    body
}

/// One transaction. `false` when the session is over.
async fn transaction(
    stage: &Stage,
    wire: &mut Wire,
    number: u64,
    recipients: &[String],
    pipelined: bool,
) -> std::io::Result<bool> {
    let mut lines = vec![format!("MAIL FROM:<s.m{number}@sender.test>\r\n")];
    lines.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n")));
    lines.push("DATA\r\n".into());
    let mut codes = Vec::new();
    if pipelined {
        wire.send(lines.concat().as_bytes()).await?;
    }
    for line in &lines {
        if !pipelined {
            wire.send(line.as_bytes()).await?;
        }
        let (code, _) = wire.reply().await?;
        if code == 421 {
            return Ok(false);
        }
        codes.push(code);
    }
    let taken: Vec<String> = recipients
        .iter()
        .zip(&codes[1..])
        .filter(|(_, code)| **code == 250)
        .map(|(to, _)| to.clone())
        .collect();
    if codes.last() != Some(&354) {
        return Ok(true);
    }
    let data = {
        let mut ledger = stage.ledger.borrow_mut();
        let Some(sent) = ledger.sent.get_mut(&number) else { return Ok(false) };
        sent.recipients = taken;
        sent.body.clone()
    };
    if !send_data(stage, wire, &data).await? {
        return Ok(false);
    }
    let (code, text) = wire.reply().await?;
    stage.world.note(format!("client: message {number}: {code} {text}"));
    stage.ledger.borrow_mut().answered(number, code, &text);
    Ok(code != 421)
}

/// Sends a body and its final dot, in one piece or slowly. `false` when it was cut off.
async fn send_data(stage: &Stage, wire: &mut Wire, body: &[u8]) -> std::io::Result<bool> {
    let rng = &stage.world.rng;
    let mut out = Vec::with_capacity(body.len() + 16);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    let cut = rng.chance(MILLION / 20).then(|| rng.below(out.len() as u64) as usize);
    let mut rest = &out[..cut.unwrap_or(out.len())];
    let slow = rng.chance(MILLION / 5);
    while !rest.is_empty() {
        let size = if slow { rng.between(1, rest.len() as u64) as usize } else { rest.len() };
        wire.send(&rest[..size]).await?;
        rest = &rest[size..];
        if slow {
            pause(rng, 28).await;
        }
    }
    Ok(cut.is_none())
}

//! Requests to the engine's HTTP interface: mail for many recipients, and operators' orders.

use crate::engine::ledger::{Outcome, Sent};
use crate::engine::plan::HTTP_PORT;
use crate::engine::stage::Stage;
use crate::engine::wire::Wire;
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::rc::Rc;

/// Recipients of one request, at the most.
const RECIPIENTS_MAX: u64 = 12;

/// One request. Gives the status and the body of the answer.
///
/// # Errors
/// As the network says; when the answer is no HTTP.
pub async fn request(
    stage: &Stage,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<(u16, Value)> {
    let engine = stage.engine.get().ok_or(std::io::ErrorKind::NotConnected)?;
    let mut wire = Wire::connect(SocketAddr::new(engine.ip(), HTTP_PORT)).await?;
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: engine.test\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    wire.send((head + &body).as_bytes()).await?;
    let status = wire.line().await?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut length = 0;
    loop {
        let line = wire.line().await?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let body = wire.bytes(length).await?;
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
}

/// Injects message `number` for some recipients, and writes down what the answer says.
///
/// # Errors
/// As [`request`].
pub async fn inject(stage: &Rc<Stage>, number: u64) -> std::io::Result<()> {
    let rng = &stage.world.rng;
    let domains = stage.plan.domains.len() as u64;
    let to = |at: u64| format!("r{at}.m{number}@d{}.test", rng.below(domains));
    let recipients: Vec<String> = (0..rng.between(1, RECIPIENTS_MAX)).map(to).collect();
    let text = format!("Subject: {number}\r\n\r\n{}\r\n", "x".repeat(rng.below(500) as usize));
    let sent = Sent {
        life: stage.ledger.borrow().life,
        body: Rc::new(text.clone().into_bytes()),
        outcome: Outcome::Unknown,
        recipients: recipients.clone(),
    };
    stage.ledger.borrow_mut().sent.insert(number, sent);
    let body = json!({
        "envelope_sender": format!("s.m{number}@sender.test"),
        "recipients": recipients.iter().map(|to| json!({"email": to})).collect::<Vec<_>>(),
        "content": text,
    });
    let (status, answer) = request(stage, "POST", "/api/inject/v1", &body).await?;
    stage.world.note(format!("client: injection {number}: {status} {answer}"));
    let mut ledger = stage.ledger.borrow_mut();
    if status != 200 {
        ledger.answered(number, status, "");
        return Ok(());
    }
    let failed = answer["failed_recipients"].as_array().cloned().unwrap_or_default();
    let failed: Vec<&str> = failed.iter().filter_map(Value::as_str).collect();
    let taken: Vec<String> =
        recipients.iter().filter(|to| !failed.contains(&to.as_str())).cloned().collect();
    if answer["success_count"] != taken.len() {
        ledger.fail(format!("injection {number}: {} of {recipients:?}: {answer}", taken.len()));
    }
    if taken.is_empty() {
        ledger.answered(number, 451, "");
        return Ok(());
    }
    if let Some(sent) = ledger.sent.get_mut(&number) {
        sent.recipients = taken;
    }
    ledger.answered(number, 250, "");
    Ok(())
}

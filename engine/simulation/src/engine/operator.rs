//! An operator at work: suspensions, bounces, reloads good and broken, a clock that is set wrong and right again. What the
//! engine has confirmed must hold.

use crate::engine::http::request;
use crate::engine::ledger::Hold;
use crate::engine::stage::Stage;
use ringmta_io::sim::rng::MILLION;
use ringmta_io::{self as io, mono_nanos};
use serde_json::{json, Value};
use std::rc::Rc;
use std::time::Duration;

/// Longest an order is in force, milliseconds: shorter than any message's life after the last.
const ORDER_MS_MAX: u64 = 20_000;
/// How far the wall clock jumps.
const JUMP_NANOS: i64 = 3600 * 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// Gives orders until everything is to be calm.
pub async fn run(stage: Rc<Stage>) {
    loop {
        let pause = stage.world.rng.between(50, 1 << stage.world.rng.between(6, 14));
        io::sleep(Duration::from_millis(pause)).await;
        if stage.calm.get() {
            return;
        }
        // An engine that ends in the middle has confirmed nothing.
        if let Err(error) = one_thing(&stage).await {
            stage.world.note(format!("operator: {error}"));
        }
    }
}

async fn one_thing(stage: &Rc<Stage>) -> std::io::Result<()> {
    if stage.engine.get().is_none() {
        return Ok(());
    }
    let plan = &stage.plan;
    match stage.world.rng.below(6) {
        0 | 1 if plan.orders => suspend(stage).await,
        2 if plan.orders => bounce(stage).await,
        3 if plan.orders => hold_ready_queue(stage).await,
        4 if plan.reloads => reload(stage).await,
        5 if plan.reloads => {
            let (status, _) =
                request(stage, "POST", "/api/admin/bump-config-epoch", &json!({})).await?;
            stage.world.note(format!("operator: a new epoch: {status}"));
            Ok(())
        }
        _ => {
            jump(stage);
            Ok(())
        }
    }
}

fn duration(stage: &Stage) -> (String, u64) {
    let millis = stage.world.rng.between(500, ORDER_MS_MAX);
    (format!("{millis}ms"), millis)
}

/// Suspends a domain, and ends some suspensions before their time.
async fn suspend(stage: &Rc<Stage>) -> std::io::Result<()> {
    let rng = &stage.world.rng;
    let domain = rng.below(stage.plan.domains.len() as u64) as usize;
    let (text, millis) = duration(stage);
    let body = json!({"reason": "a test", "domain": format!("d{domain}.test"), "duration": text});
    let asked = mono_nanos();
    {
        // It takes the place of one for the same domain.
        let mut ledger = stage.ledger.borrow_mut();
        ledger.ordered = true;
        ledger.holds.retain(|hold| hold.domain != domain);
    }
    let (status, answer) = request(stage, "POST", "/api/admin/suspend/v1", &body).await?;
    stage.world.note(format!("operator: suspends d{domain} for {text}: {status} {answer}"));
    let Some(id) = answer["id"].as_str().filter(|_| status == 200) else { return Ok(()) };
    let flight = stage.plan.flight_ms(stage.plan.domains[domain].hop) * MILLI;
    // The engine's own clock may be led ahead by a second in a minute.
    let slew = if stage.plan.jumps { millis * MILLI / 50 } else { 0 };
    let (from, until) = (mono_nanos() + flight, asked + millis * MILLI - slew);
    stage.ledger.borrow_mut().holds.push(Hold { id: id.into(), domain, from, until });
    if rng.flip() {
        return Ok(());
    }
    io::sleep(Duration::from_millis(rng.below(millis))).await;
    // It may hold no longer from here on, whatever the answer is.
    stage.ledger.borrow_mut().holds.retain(|hold| hold.id != id);
    let (status, _) = request(stage, "DELETE", "/api/admin/suspend/v1", &json!({"id": id})).await?;
    stage.world.note(format!("operator: ends the suspension of d{domain}: {status}"));
    Ok(())
}

async fn bounce(stage: &Rc<Stage>) -> std::io::Result<()> {
    let rng = &stage.world.rng;
    let domain = rng.below(stage.plan.domains.len() as u64);
    let millis = rng.below(2000);
    let body = json!({
        "reason": "a test", "domain": format!("d{domain}.test"), "duration": format!("{millis}ms"),
    });
    stage.ledger.borrow_mut().ordered = true;
    let (status, answer) = request(stage, "POST", "/api/admin/bounce/v1", &body).await?;
    stage.world.note(format!("operator: bounces d{domain} for {millis} ms: {status} {answer}"));
    let counts = answer["bounced"].as_object().into_iter().flatten();
    let sum: u64 = counts.filter_map(|(_, count)| count.as_u64()).sum();
    if status == 200 && answer["total_bounced"] != sum {
        stage.fail(format!("a bounce counts {answer}"));
    }
    Ok(())
}

async fn hold_ready_queue(stage: &Rc<Stage>) -> std::io::Result<()> {
    let hop = stage.world.rng.below(stage.hops.len() as u64) as usize;
    let name = format!("unspecified->mx_list:{}@smtp_client", stage.hops[hop].addr);
    let (text, _) = duration(stage);
    let body = json!({"reason": "a test", "name": name, "duration": text});
    stage.ledger.borrow_mut().ordered = true;
    let (status, _) = request(stage, "POST", "/api/admin/suspend-ready-q/v1", &body).await?;
    stage.world.note(format!("operator: holds {name} for {text}: {status}"));
    Ok(())
}

/// Changes the policy and has it loaded: as it was, broken, broken some time later, or broken once a shard has loaded it.
async fn reload(stage: &Rc<Stage>) -> std::io::Result<()> {
    let rng = &stage.world.rng;
    let broken = rng.below(4);
    if broken == 1 {
        stage.write_policy(Some("this is no Lua"));
    }
    if broken == 2 {
        let (stage, micros) = (stage.clone(), rng.below(1 << rng.between(4, 18)));
        io::spawn(async move {
            io::sleep(Duration::from_micros(micros)).await;
            // One engine's later start reads it whole.
            if stage.engine.get().is_some() && stage.reloading.get() {
                stage.write_policy(Some("this is no Lua"));
            }
        });
    }
    if broken == 3 {
        stage.write_policy_for_one_load();
    }
    stage.reloading.set(true);
    let life = stage.ledger.borrow().life;
    let answer = request(stage, "POST", "/api/admin/reload/v1", &Value::Null).await;
    stage.reloading.set(false);
    stage.write_policy(None);
    // (What is wrong with it names the file, which is another in each run.)
    let (status, _) = answer?;
    stage.world.note(format!("operator: reloads ({broken}): {status}"));
    // (A start meanwhile has put the policy right.)
    if broken == 1 && status == 200 && stage.ledger.borrow().life == life {
        stage.fail("a broken policy was taken".into());
    }
    Ok(())
}

/// The wall clock jumps away, or back to where it should be.
fn jump(stage: &Stage) {
    if !stage.plan.jumps {
        return;
    }
    let by = match stage.jumped.get() {
        0 if stage.world.rng.chance(MILLION / 2) => JUMP_NANOS,
        0 => -JUMP_NANOS,
        away => -away,
    };
    stage.world.exec.jump_wall(by);
    stage.jumped.set(stage.jumped.get() + by);
    stage.world.note(format!("the wall clock jumps by {} s", by / 1_000_000_000));
}

/// The wall clock is put right, as it is when an engine begins its life.
pub fn put_clock_right(stage: &Stage) {
    stage.world.exec.jump_wall(-stage.jumped.replace(0));
}

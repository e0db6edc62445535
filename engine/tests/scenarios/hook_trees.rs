//! Hooks after the kinds of trees that are in use: records into Redis, into NATS, and onto a terminal, each by a constructor
//! of a name of its own.

use crate::support::{listen, message, wait, Engine, Sink, Site};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

type Told = Arc<Mutex<Vec<Vec<u8>>>>;

/// A server of which each connection is served by `serve`; what it was told. It ends with the process.
fn server(serve: fn(TcpStream, &Told) -> Option<()>) -> (SocketAddr, Told) {
    let listener = listen("127.0.0.1:0".parse().unwrap());
    let addr = listener.local_addr().unwrap();
    let told = Told::default();
    let kept = told.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || serve(stream, &told));
        }
    });
    (addr, kept)
}

/// As much of Redis as RPUSH takes.
fn redis(stream: TcpStream, told: &Told) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut number = |reader: &mut BufReader<TcpStream>| {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            line.trim_end()[1..].parse::<usize>().ok()
        };
        let count = number(&mut reader)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let mut word = vec![0; number(&mut reader)? + 2];
            reader.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            words.push(word);
        }
        let is_push = words[0].eq_ignore_ascii_case(b"RPUSH");
        if is_push {
            told.lock().unwrap().push(words.pop()?);
        }
        writer.write_all(if is_push { b":1\r\n" } else { b"+OK\r\n" }).ok()?;
    }
}

/// As much of NATS as publishing takes.
fn nats(stream: TcpStream, told: &Told) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    writer
        .write_all(b"INFO {\"server_id\":\"x\",\"max_payload\":1048576,\"headers\":true}\r\n")
        .ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line.starts_with("PING") {
            writer.write_all(b"PONG\r\n").ok()?;
        }
        if line.starts_with("PUB ") {
            let mut payload =
                vec![0; line.trim_end().rsplit(' ').next()?.parse::<usize>().ok()? + 2];
            reader.read_exact(&mut payload).ok()?;
            told.lock().unwrap().push(payload);
        }
    }
}

/// A tree whose deliveries go to the queue `domain`, which the constructor `name` takes; `connection` makes it.
fn tree(sink: &Sink, domain: &str, name: &str, connection: &str) -> Engine {
    let mut site = Site::to(sink.addr);
    site.init = "kumo.configure_log_hook { name = 'events', headers = { 'Subject' } }".into();
    site.extra = format!(
        "
kumo.on('should_enqueue_log_record', function(msg, hook)
  local record = msg:get_meta('log_record')
  if record.reception_protocol == 'LogRecord' then return false end
  if record.type ~= 'Delivery' then return false end
  msg:set_meta('queue', '{domain}')
  return true
end)
kumo.on('{name}', function(domain, tenant, campaign)
{connection}
end)"
    );
    site.write_policy();
    let text = std::fs::read_to_string(site.policy_file()).unwrap();
    let own = format!(
        "kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  if domain == '{domain}' then
    return kumo.make_queue_config {{ protocol = {{ custom_lua = {{ constructor = '{name}' }} }} }}
  end
end)\n"
    );
    let text = text.replacen("kumo.on('init'", &format!("{own}kumo.on('init'"), 1);
    std::fs::write(site.policy_file(), text).unwrap();
    site.start_as_it_is(1)
}

fn has_told(told: &Told, ids: &[String]) -> bool {
    let told = told.lock().unwrap();
    let of = |bytes: &Vec<u8>| serde_json::from_slice::<Value>(bytes).unwrap();
    let mut known: Vec<String> =
        told.iter().map(|bytes| of(bytes)["id"].as_str().unwrap().to_string()).collect();
    known.sort();
    known == ids
}

fn accept_some(engine: &Engine) -> Vec<String> {
    let to = |n: usize| format!("u{n}@dst.test");
    let mut ids: Vec<String> =
        (0..5).flat_map(|n| engine.accept("a@src.test", &[&to(n)], &message("hi"))).collect();
    ids.sort();
    ids
}

#[test]
fn records_go_into_redis() {
    let sink = Sink::start();
    let (addr, told) = server(redis);
    let connection = format!(
        "  local redis = require 'redis'
  local pool = redis.open {{ node = 'redis://{addr}/' }}
  local sender = {{}}
  function sender:send(msg)
    pool:query('RPUSH', 'mail_events', msg:get_data())
    return 'pushed'
  end
  return sender"
    );
    let engine = tree(&sink, "redis.events", "redis_connector", &connection);
    let ids = accept_some(&engine);
    wait("every record in Redis", || has_told(&told, &ids));
}

#[test]
fn records_go_into_nats() {
    let sink = Sink::start();
    let (addr, told) = server(nats);
    let connection = format!(
        "  local client = kumo.nats.connect {{ servers = {{ '{addr}' }} }}
  local sender = {{}}
  function sender:send(msg)
    client:publish {{ subject = 'mail.events', payload = msg:get_data() }}
    return 'published'
  end
  function sender:close()
    client:close()
  end
  return sender"
    );
    let engine = tree(&sink, "nats.events", "make.nats.publisher", &connection);
    let ids = accept_some(&engine);
    wait("every record in NATS", || has_told(&told, &ids));
}

#[test]
fn records_go_onto_a_terminal() {
    let sink = Sink::start();
    let connection = "  return {
    send = function(self, msg)
      print('tap ' .. msg:get_meta('log_record').id)
      return 'shown'
    end,
  }";
    let engine = tree(&sink, "tap.events", "tap", connection);
    for id in accept_some(&engine) {
        engine.wait_says(&format!("tap {id}"));
    }
}

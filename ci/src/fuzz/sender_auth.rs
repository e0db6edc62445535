//! DKIM, ARC, SPF and DMARC as a policy calls them: on any message, with any records in the DNS, each gives a result of
//! RFC 8601 and asks no more than it may.

use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use ringmta_policy::{
    ConnMeta, DnsAnswer, DnsKind, DnsQuestion, DnsResult, EnvelopeAddress, Host, Message,
    MessageId, Meta, Mode, NoHost, Policy, PolicyError, Shared,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// What is checked, and that it has the words it may have. Header objects are read as well.
const POLICY: &str = r#"
local kumo = require 'kumo'
local words = {}
for w in string.gmatch('pass fail softfail neutral none policy temperror permerror', '%a+') do words[w] = true end
local function known(r) assert(words[r.result], r.result) return r end
kumo.on('smtp_server_message_received', function(msg, conn)
  local signatures = msg:dkim_verify()
  assert(#signatures <= 10)
  for _, r in ipairs(signatures) do known(r) end
  known(msg:arc_verify())
  local spf = kumo.spf.check_host('src.test', conn, msg:sender() and msg:sender().email)
  known(spf.result)
  assert(words[spf.disposition], spf.disposition)
  -- A From that cannot be read is an error of the policy's.
  local readable, dmarc = pcall(kumo.dmarc.check_msg, msg, signatures, nil, spf.result)
  if readable then known(dmarc.result) end
end)
"#;

/// Longest name of the DNS, with a last dot.
const NAME_BYTES: usize = 254;

/// Ten signatures, fifty ARC sets with two keys each, SPF: ten terms, of which each may have ten hosts, and DMARC: the
/// author's domain and its organization's.
const QUESTIONS: usize = 10 + 2 * 50 + 2 + 10 + 10 * 10 + 2;

/// The texts that every name has, and how often was asked.
struct Zone(Rc<(RefCell<Vec<String>>, Cell<usize>)>);

impl Host for Zone {
    fn sleep(&self, d: Duration) -> LocalBoxFuture<'static, ()> {
        NoHost.sleep(d)
    }
    fn now_unix_nanos(&self) -> u64 {
        1_795_359_769_000_000_000
    }
    fn spawn(&self, _: LocalBoxFuture<'static, ()>) {}
    fn new_message_id(&self) -> MessageId {
        NoHost.new_message_id()
    }
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        NoHost.load_body(id)
    }
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        NoHost.inject(message)
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        let (texts, asked) = (&self.0 .0, &self.0 .1);
        asked.set(asked.get() + 1);
        // What is asked for has grown no further than the resolver takes it.
        assert!(question.name.len() <= NAME_BYTES, "a name of {} bytes", question.name.len());
        let mut answer = DnsAnswer::default();
        match question.kind {
            DnsKind::Txt => answer.texts = texts.borrow().clone(),
            DnsKind::Mx => answer.mx = (0..5).map(|n| (n, format!("m{n}.src.test"))).collect(),
            DnsKind::Ptr => answer.texts = vec!["c.src.test".into()],
            _ => answer.addresses = vec!["192.0.2.7".parse().expect("an address")],
        }
        Box::pin(async { Ok(answer) })
    }
    fn shard(&self) -> usize {
        0
    }
}

struct World {
    policy: Policy,
    zone: Rc<(RefCell<Vec<String>>, Cell<usize>)>,
}

impl World {
    fn new() -> World {
        let file = std::env::temp_dir().join(format!("sender_auth-{}.lua", std::process::id()));
        std::fs::write(&file, POLICY).expect("a folder for the policy");
        let zone = Rc::new((RefCell::default(), Cell::new(0)));
        let policy = Policy::load(&file, Shared::new(1), Rc::new(Zone(zone.clone())), Mode::Run);
        let _ = std::fs::remove_file(&file);
        let policy = policy.expect("a policy without mistakes");
        block_on(policy.run_init()).expect("nothing to be done at init");
        World { policy, zone }
    }
}

thread_local! {
    static WORLD: World = World::new();
}

/// The texts of the DNS, one a line, up to a NUL; the rest is a message.
pub fn check(data: &[u8]) {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let message = data.get(at + 1..).unwrap_or_default().to_vec();
    let texts = String::from_utf8_lossy(&data[..at]);
    let address = |text: &str| EnvelopeAddress::parse(text).expect("an address");
    WORLD.with(|world| {
        *world.zone.0.borrow_mut() = texts.lines().map(str::to_owned).collect();
        world.zone.1.set(0);
        let (from, to) = (address("a.b-c.d@src.test"), address("u@dst.test"));
        let id = MessageId::new_v1(0, 0, [0; 6]);
        let message = Message::new(id, from, vec![to], Meta::new(), Rc::new(message));
        let conn = ConnMeta::new();
        conn.set("received_from", "192.0.2.1");
        conn.set("ehlo_domain", "c.src.test");
        match block_on(world.policy.message_received(&message, &conn)) {
            Ok(()) | Err(PolicyError::Timeout) => {}
            Err(why) => panic!("{why}"),
        }
        assert!(world.zone.1.get() <= QUESTIONS, "{} questions", world.zone.1.get());
    });
}

/// Records and messages of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |texts: &str, message: &str| [texts.as_bytes(), b"\0", message.as_bytes()].concat();
    let mail = "From: a@src.test\r\nSubject: x\r\n\r\nhello\r\n";
    let signed = |tags: &str| format!("DKIM-Signature: {tags}\r\n{mail}");
    let signature =
        "v=1; a=ed25519-sha256; c=relaxed/simple; d=src.test; s=s1; h=From:Subject:From; \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA";
    let ed = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let rsa = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCB";
    let arc = "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=src.test; s=s1; b=AAAA\r\nARC-Message-Signature: i=1; \
        a=rsa-sha256; d=src.test; s=s1; h=From; bh=AAAA; b=AAAA\r\nARC-Authentication-Results: i=1; mx.test; spf=pass\r\n";
    vec![
        with(ed, &signed(signature)),
        with(rsa, &signed(&signature.replace("ed25519", "rsa"))),
        with(ed, &signed(&signature.replace("c=relaxed/simple", "c=simple; l=3; x=1; t=1"))),
        with(rsa, &format!("{arc}{mail}")),
        with("v=spf1 ip4:192.0.2.0/25 ip6:2001:db8::/32 -all", mail),
        with("v=spf1 a:%{d2}/24//64 mx exists:%{ir}.%{l1r-}.%{v}.x.test ptr ~all", mail),
        with("v=spf1 include:%{o} redirect=%{S}.test exp=x", mail),
        with(&format!("v=spf1 exists:{} -all", "%{s}.".repeat(400)), mail),
        with(
            "v=DMARC1; p=quarantine; sp=reject; adkim=s; aspf=r; pct=50; rua=mailto:d@src.test",
            mail,
        ),
        with("v=DMARC1; p=none", "From: A <a@mail.src.test>, b@other.test\r\n\r\n"),
    ]
}

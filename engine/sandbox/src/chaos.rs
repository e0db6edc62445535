//! Errors of SMTP on purpose: Mailpit's three triggers, and what a sender's retries and deadlines want to be tried with
//! besides: refusals at every step, silence, and connections that break. Drawn by chance from a seed, so that a run can be
//! had again.

use crate::limits::SANDBOX_CHAOS_DELAY_MS_MAX;
use ringmta_io as io;
use ringmta_smtp::reply::Reply;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// One trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Trigger {
    /// Reply code, 400 to 599; 0 where only the other faults are wanted.
    pub error_code: u16,
    /// In how many of a hundred cases.
    pub probability: u8,
    /// The reply's text; one of ours unless given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Silence before the answer, milliseconds.
    #[serde(skip_serializing_if = "is_none")]
    pub delay_ms: u64,
    /// The connection breaks instead of an answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Only for this domain: of the sender at `Sender`, of a recipient behind it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

impl Default for Trigger {
    fn default() -> Trigger {
        Trigger::of(451)
    }
}

impl Trigger {
    fn of(error_code: u16) -> Trigger {
        let (text, domain) = (String::new(), String::new());
        Trigger { error_code, probability: 0, text, delay_ms: 0, drop: false, domain }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let silent = self.error_code == 0 && (self.drop || self.delay_ms > 0);
        if !silent && !(400..=599).contains(&self.error_code) {
            return Err(format!("{name}: error code must be between 400 and 599"));
        }
        if self.probability > 100 {
            return Err(format!("{name}: probability must be between 0 and 100"));
        }
        if self.delay_ms > SANDBOX_CHAOS_DELAY_MS_MAX {
            return Err(format!("{name}: a delay is at most {SANDBOX_CHAOS_DELAY_MS_MAX} ms"));
        }
        if self.text.len() > 400 || self.text.chars().any(char::is_control) {
            return Err(format!("{name}: a text is one line of at most 400 bytes"));
        }
        Ok(())
    }
}

/// All triggers. One that is left out is off; Mailpit's three are always told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Triggers {
    /// At MAIL FROM.
    pub sender: Trigger,
    /// At RCPT TO.
    pub recipient: Trigger,
    /// At AUTH.
    #[serde(deserialize_with = "authentication")]
    pub authentication: Trigger,
    /// Instead of the greeting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<Trigger>,
    /// At EHLO and HELO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ehlo: Option<Trigger>,
    /// In place of the TLS handshake: only silence and `Drop`, since the 220 has been said.
    #[serde(skip_serializing_if = "Option::is_none", rename = "StartTLS")]
    pub start_tls: Option<Trigger>,
    /// At DATA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Trigger>,
    /// After the final dot; the message is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Trigger>,
    /// What chance begins with; another run with it draws the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// A trigger of AUTH without a code has AUTH's.
fn authentication<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Trigger, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    let coded = value.get("ErrorCode").is_some();
    let mut trigger: Trigger = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
    if !coded {
        trigger.error_code = 535;
    }
    Ok(trigger)
}

impl Default for Triggers {
    fn default() -> Triggers {
        Triggers {
            sender: Trigger::of(451),
            recipient: Trigger::of(451),
            authentication: Trigger::of(535),
            greeting: None,
            ehlo: None,
            start_tls: None,
            data: None,
            message: None,
            seed: None,
        }
    }
}

impl Triggers {
    /// One with everything, for the API's description.
    pub(crate) fn example() -> Triggers {
        let one = || Trigger {
            error_code: 451,
            probability: 5,
            text: "try again".into(),
            delay_ms: 100,
            drop: true,
            domain: "example.com".into(),
        };
        Triggers {
            sender: one(),
            recipient: one(),
            authentication: one(),
            greeting: Some(one()),
            ehlo: Some(one()),
            start_tls: Some(one()),
            data: Some(one()),
            message: Some(one()),
            seed: Some(42),
        }
    }

    /// What Mailpit takes on its command line: `Sender:451:5,Recipient:550:10`.
    ///
    /// # Errors
    /// Which of them is wrong.
    pub fn parse(text: &str) -> Result<Triggers, String> {
        let mut triggers = Triggers::default();
        for one in text.split([',', ' ']).filter(|one| !one.is_empty()) {
            let wrong =
                || format!("`{one}` is no trigger; write Sender:451:5 (step, code, percent)");
            let [name, code, percent] =
                one.split(':').collect::<Vec<_>>().try_into().map_err(|_| wrong())?;
            let mut trigger = Trigger::of(code.parse().map_err(|_| wrong())?);
            trigger.probability = percent.trim_end_matches('%').parse().map_err(|_| wrong())?;
            match name.to_ascii_lowercase().as_str() {
                "sender" => triggers.sender = trigger,
                "recipient" => triggers.recipient = trigger,
                "authentication" => triggers.authentication = trigger,
                "greeting" => triggers.greeting = Some(trigger),
                "ehlo" => triggers.ehlo = Some(trigger),
                "data" => triggers.data = Some(trigger),
                "message" => triggers.message = Some(trigger),
                _ => return Err(wrong()),
            }
        }
        triggers.check()?;
        Ok(triggers)
    }

    fn check(&self) -> Result<(), String> {
        self.sender.check("Sender")?;
        self.recipient.check("Recipient")?;
        self.authentication.check("Authentication")?;
        let more = [
            ("Greeting", &self.greeting),
            ("Ehlo", &self.ehlo),
            ("StartTLS", &self.start_tls),
            ("Data", &self.data),
            ("Message", &self.message),
        ];
        more.into_iter().try_for_each(|(name, one)| one.iter().try_for_each(|one| one.check(name)))
    }
}

/// Where in a session a trigger may fire.
#[derive(Debug, Clone, Copy)]
pub enum At {
    /// The greeting.
    Greeting,
    /// EHLO and HELO.
    Ehlo,
    /// The TLS handshake.
    StartTls,
    /// AUTH.
    Authentication,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The final dot.
    Message,
}

/// What is to happen.
#[derive(Debug, Default)]
pub struct Fault {
    /// Silence first.
    pub delay: Duration,
    /// The connection breaks.
    pub drop: bool,
    /// What is answered instead of what would be.
    pub reply: Option<Reply>,
}

/// The triggers as they stand.
pub struct Chaos {
    enabled: bool,
    triggers: RefCell<Triggers>,
    state: Cell<u64>,
}

impl Chaos {
    /// With these triggers; without any, it cannot be switched on.
    pub fn new(triggers: Option<Triggers>) -> Chaos {
        let enabled = triggers.is_some();
        let triggers = triggers.unwrap_or_default();
        let state = Cell::new(triggers.seed.unwrap_or_else(io::random_u64));
        Chaos { enabled, triggers: RefCell::new(triggers), state }
    }

    /// Whether it can be switched on.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// The triggers as they stand.
    pub fn triggers(&self) -> Triggers {
        self.triggers.borrow().clone()
    }

    /// Puts all triggers anew.
    ///
    /// # Errors
    /// Which of them is wrong; those there were stay.
    pub fn set(&self, triggers: Triggers) -> Result<(), String> {
        triggers.check()?;
        if let Some(seed) = triggers.seed {
            self.state.set(seed);
        }
        *self.triggers.borrow_mut() = triggers;
        Ok(())
    }

    /// What happens at this step of a session; `domains` are those it is about.
    pub fn strikes(&self, at: At, domains: &[&str]) -> Option<Fault> {
        if !self.enabled {
            return None;
        }
        let triggers = self.triggers.borrow();
        let (trigger, status, what) = match at {
            At::Greeting => (triggers.greeting.as_ref()?, "3.0", "greeting"),
            At::Ehlo => (triggers.ehlo.as_ref()?, "5.0", "EHLO"),
            At::StartTls => (triggers.start_tls.as_ref()?, "7.0", "STARTTLS"),
            At::Authentication => (&triggers.authentication, "7.8", "authentication"),
            At::Sender => (&triggers.sender, "1.8", "sender"),
            At::Recipient => (&triggers.recipient, "1.1", "recipient"),
            At::Data => (triggers.data.as_ref()?, "3.0", "DATA"),
            At::Message => (triggers.message.as_ref()?, "6.0", "message"),
        };
        let named = trigger.domain.as_str();
        if !named.is_empty() && !domains.iter().any(|one| one.eq_ignore_ascii_case(named)) {
            return None;
        }
        if trigger.probability == 0 || self.draw() >= u64::from(trigger.probability) {
            return None;
        }
        let code = trigger.error_code;
        let text = match trigger.text.as_str() {
            "" => format!("{}.{status} Chaos {what} error", code / 100),
            own => own.to_string(),
        };
        Some(Fault {
            delay: Duration::from_millis(trigger.delay_ms),
            drop: trigger.drop,
            reply: (code != 0).then(|| Reply::new(code, text)),
        })
    }

    /// A number below 100: SplitMix64, which a seed determines.
    fn draw(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triggers(json: &str) -> Result<Triggers, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_is_left_out_is_off() {
        let set = triggers(r#"{"Sender": {"ErrorCode": 550, "Probability": 7}}"#).unwrap();
        assert_eq!(
            serde_json::to_value(&set).unwrap(),
            serde_json::json!({
                "Sender": {"ErrorCode": 550, "Probability": 7},
                "Recipient": {"ErrorCode": 451, "Probability": 0},
                "Authentication": {"ErrorCode": 535, "Probability": 0},
            })
        );
        assert_eq!(triggers(r#"{"Authentication": {}}"#).unwrap().authentication.error_code, 535);
        assert!(triggers(r#"{"Sender": {"Code": 1}}"#).is_err());
    }

    #[test]
    fn bounds() {
        let chaos = Chaos::new(Some(Triggers::default()));
        for wrong in [
            r#"{"Sender": {"ErrorCode": 200, "Probability": 1}}"#,
            r#"{"Recipient": {"ErrorCode": 451, "Probability": 101}}"#,
            r#"{"Data": {"DelayMs": 99999999, "Probability": 1}}"#,
            r#"{"Message": {"Text": "a\r\nb", "Probability": 1}}"#,
        ] {
            assert!(chaos.set(triggers(wrong).unwrap()).is_err(), "{wrong}");
        }
        assert_eq!(chaos.triggers(), Triggers::default());
        assert_eq!(
            Triggers::parse("Sender:451:5, Recipient:550:10%").unwrap().recipient.probability,
            10
        );
        for wrong in ["Sender", "Sender:451", "Who:451:5", "Sender:200:5", "Sender:451:500"] {
            assert!(Triggers::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_run_and_a_domain_limits_it() {
        let run = |seed| {
            let set = format!(
                r#"{{"Recipient": {{"ErrorCode": 451, "Probability": 50, "Domain": "a.test"}}, "Seed": {seed}}}"#
            );
            let chaos = Chaos::new(Some(triggers(&set).unwrap()));
            assert!((0..50).all(|_| chaos.strikes(At::Recipient, &["b.test"]).is_none()));
            (0..64).map(|_| chaos.strikes(At::Recipient, &["A.test"]).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!(run(7).contains(&true) && run(7).contains(&false));
        assert!(Chaos::new(None).strikes(At::Sender, &[]).is_none());
    }
}

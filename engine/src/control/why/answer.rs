//! One answer: a state, why it is so, what comes next, what can be done.

use super::reasons::moment;
use super::states::State;
use crate::control::at_millis;
use serde_json::{json, Map, Value};

/// What is found out about a message or a queue.
pub struct Answer {
    /// The state.
    pub state: State,
    /// Since when, unix milliseconds, where that is known.
    pub since: Option<u64>,
    /// What holds it.
    pub because: Vec<Value>,
    /// When the next thing happens, unix milliseconds, where that is known.
    pub next: Option<u64>,
    /// What that is, where it is not what its state says.
    pub next_says: Option<&'static str>,
    /// Names for the words.
    pub names: Vec<(&'static str, String)>,
}

impl Answer {
    /// With nothing but a state.
    pub fn of(state: State) -> Answer {
        Answer {
            state,
            since: None,
            because: Vec::new(),
            next: None,
            next_says: None,
            names: Vec::new(),
        }
    }

    /// With a reason more.
    pub fn because(mut self, reason: impl IntoIterator<Item = Value>) -> Answer {
        self.because.extend(reason);
        self
    }

    /// With the time of what comes next.
    pub fn next(self, at_millis: u64) -> Answer {
        Answer { next: Some(at_millis), ..self }
    }

    /// Other words for what comes next than those of its state.
    pub fn next_says(self, words: &'static str) -> Answer {
        Answer { next_says: Some(words), ..self }
    }

    /// With the time since when it is so.
    pub fn since(self, at_millis: u64) -> Answer {
        Answer { since: Some(at_millis), ..self }
    }

    /// With a name for the words.
    pub fn name(mut self, placeholder: &'static str, name: impl Into<String>) -> Answer {
        self.names.push((placeholder, name.into()));
        self
    }

    /// As the API tells it.
    pub fn to_json(&self) -> Map<String, Value> {
        let words = self.state.words();
        let says = self.next_says.unwrap_or(words.next);
        let next = match self.next {
            Some(at) => format!("{says} That is {}.", moment(at)),
            None => says.to_string(),
        };
        let can: Vec<String> = words.can.iter().filter_map(|can| self.filled(can)).collect();
        let answer = json!({
            "state": words.name,
            "says": words.says,
            "since": self.since.map(at_millis),
            "since_text": self.since.map(moment),
            "because": self.because,
            "next": {"text": next, "at": self.next.map(at_millis)},
            "can": can,
        });
        match answer {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// A command with its names; none when one is not known.
    fn filled(&self, command: &str) -> Option<String> {
        let mut out = format!("ringmta ctl {command}");
        for (placeholder, name) in &self.names {
            out = out.replace(&format!("{{{placeholder}}}"), &shell(name));
        }
        (!out.contains('{')).then_some(out)
    }
}

/// A word as a shell takes it for one.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_names_or_are_left_out() {
        let answer = Answer::of(State::Deferred).name("id", "abc");
        let told = answer.to_json();
        assert_eq!(told["can"][0], "ringmta ctl try-now abc");
        let told = Answer::of(State::Suspended).to_json();
        assert_eq!(told["can"], json!([]));
        let told = Answer::of(State::HostsDown).name("ready", "a->b@smtp").to_json();
        assert_eq!(told["can"][0], "ringmta ctl ready 'a->b@smtp'");
    }
}

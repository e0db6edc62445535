//! What next hops have said, and whether records quote it: each answer has a number in its text, so that a record tells by
//! its text which answer it goes by.

use crate::engine::names::parse;
use ringmta_events::record::{Kind, Record};
use std::collections::BTreeMap;

/// Whom an answer is about.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Nobody in particular: a greeting, an answer to RSET.
    Anyone,
    /// The message of this number, to MAIL.
    Message(u64),
    /// These recipients, to their RCPT or to DATA.
    These(Vec<String>),
    /// These recipients, to the dot.
    Dot(Vec<String>),
    /// What was said before belongs to no command: nobody can tell.
    Unclear,
}

#[derive(Debug)]
struct Answer {
    code: u16,
    whose: Whose,
}

/// Every answer of every next hop.
#[derive(Debug, Default)]
pub struct Quotes {
    answers: Vec<Answer>,
    /// Recipients whose next record must quote this answer.
    expected: BTreeMap<String, u64>,
}

impl Quotes {
    /// A next hop says `code`. Gives the number that is to be in the text.
    pub fn said(&mut self, code: u16, whose: Whose) -> u64 {
        self.answers.push(Answer { code, whose });
        self.answers.len() as u64
    }

    /// The engine cannot but read the answer that is said next: the next record of each of `who` quotes it.
    pub fn must_be_quoted(&mut self, who: &[String]) {
        let number = self.answers.len() as u64 + 1;
        for address in who {
            self.expected.insert(address.clone(), number);
        }
    }

    /// The engine ends, in whatever it is doing.
    pub fn engine_ends(&mut self) {
        self.expected.clear();
    }

    /// Holds a record against what was said.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&mut self, record: &Record<'_>) -> Result<(), String> {
        let (kind, response) = (record.kind, record.response);
        if !matches!(kind, Kind::Delivery | Kind::Bounce | Kind::TransientFailure) {
            return Ok(());
        }
        let quoted = quoted(&response.content);
        for recipient in record.recipients {
            let address = recipient.email().to_string();
            let what = || format!("{kind:?} for {address}, {} {}", response.code, response.content);
            // A message that an operator holds has a record of that, and its answer is still to come.
            let held =
                response.content.contains("suspended") || response.content.contains("eligible");
            let expected = if held { None } else { self.expected.remove(&address) };
            if let Some(number) = expected.filter(|number| Some(*number) != quoted) {
                return Err(format!("{}: answer #{number} was for it, and is forgotten", what()));
            }
            match quoted {
                Some(number) => {
                    self.fits(kind, number, &address).map_err(|why| format!("{}: {why}", what()))?
                }
                None if kind == Kind::Delivery => {
                    return Err(format!("{}: no next hop said so", what()))
                }
                None if kind == Kind::Bounce && !is_own_rule(&response.content) => {
                    return Err(format!(
                        "{}: neither a next hop nor a rule of the engine says so",
                        what()
                    ))
                }
                None => {}
            }
        }
        Ok(())
    }

    fn fits(&self, kind: Kind, number: u64, address: &str) -> Result<(), String> {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let answer = at.and_then(|at| self.answers.get(at)).ok_or("nobody said that")?;
        let is_about = match &answer.whose {
            // Who closes has answered all that is still open.
            _ if answer.code == 421 && kind == Kind::TransientFailure => true,
            Whose::Unclear => kind != Kind::Delivery,
            Whose::Anyone => kind == Kind::TransientFailure,
            Whose::Message(number) => parse(address).is_some_and(|(of, _)| of == *number),
            Whose::These(who) | Whose::Dot(who) => who.iter().any(|to| to == address),
        };
        if !is_about {
            return Err(format!("that was said of {:?}", answer.whose));
        }
        let fits = match kind {
            Kind::Delivery => {
                (200..300).contains(&answer.code) && matches!(answer.whose, Whose::Dot(_))
            }
            Kind::Bounce => answer.code >= 500,
            _ if matches!(answer.whose, Whose::Unclear) => true,
            _ => !(200..300).contains(&answer.code),
        };
        if fits {
            Ok(())
        } else {
            Err(format!("{} was said", answer.code))
        }
    }
}

/// The number of the answer that a text quotes.
fn quoted(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once("answer #")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Bounces that no next hop has asked for.
fn is_own_rule(text: &str) -> bool {
    text.contains("8BITMIME")
}

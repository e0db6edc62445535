//! A matcher of Lua patterns that can be interrupted.

use super::set;

/// Captures a pattern may hold, as in Lua.
const MAX_CAPTURES: usize = 32;
/// Matches within matches, as in Lua: beyond that a pattern is "too complex".
const MAX_DEPTH: u32 = 200;
/// Steps between two looks at the clock: under a millisecond.
const STEPS_PER_LOOK: u32 = 1 << 16;

/// Why a match was given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The pattern is wrong; the words are Lua's.
    Pattern(String),
    /// The time was up.
    Interrupted,
}

impl From<&'static str> for Fault {
    fn from(text: &'static str) -> Fault {
        Fault::Pattern(text.to_owned())
    }
}

/// A part of the text that a pattern remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Begun at, and not ended.
    Open(usize),
    /// From, to.
    Part(usize, usize),
    /// `()`: a place.
    Place(usize),
}

type Outcome = Result<Option<usize>, Fault>;

/// One run of a pattern over a text. Places are offsets in bytes, from 0.
pub(super) struct Matcher<'a, F> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: u32,
    steps: u32,
    go_on: F,
}

impl<'a, F: FnMut() -> bool> Matcher<'a, F> {
    /// `go_on` is asked now and then; the match is given up when it says no.
    pub fn new(text: &'a [u8], pattern: &'a [u8], go_on: F) -> Self {
        Matcher { text, pattern, captures: Vec::new(), depth: 0, steps: 0, go_on }
    }

    /// The first match from `from` on that does not end at `last`, as its begin and end. With `anchored` only at `from`;
    /// `skip` is how many bytes of the pattern lie before what is matched (its anchor).
    ///
    /// # Errors
    /// A wrong pattern, or too long a time.
    pub fn search(
        &mut self,
        from: usize,
        last: Option<usize>,
        anchored: bool,
        skip: usize,
    ) -> Result<Option<(usize, usize)>, Fault> {
        for at in from..=self.text.len() {
            self.captures.clear();
            self.depth = 0;
            match self.run(at, skip)? {
                Some(end) if Some(end) != last => return Ok(Some((at, end))),
                _ if anchored => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The captures of the match that was found.
    ///
    /// # Errors
    /// One was not ended.
    pub fn captures(&self) -> Result<&[Capture], Fault> {
        if self.captures.iter().any(|capture| matches!(capture, Capture::Open(_))) {
            return Err("unfinished capture".into());
        }
        Ok(&self.captures)
    }

    /// Matches the pattern from `p` on at `s`; the end of the match.
    fn run(&mut self, s: usize, p: usize) -> Outcome {
        if self.depth == MAX_DEPTH {
            return Err("pattern too complex".into());
        }
        self.depth += 1;
        let outcome = self.items(s, p);
        self.depth -= 1;
        outcome
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps < STEPS_PER_LOOK {
            return Ok(());
        }
        self.steps = 0;
        if (self.go_on)() {
            Ok(())
        } else {
            Err(Fault::Interrupted)
        }
    }

    fn items(&mut self, mut s: usize, mut p: usize) -> Outcome {
        loop {
            self.step()?;
            let Some(&item) = self.pattern.get(p) else { return Ok(Some(s)) };
            let next = match (item, self.pattern.get(p + 1)) {
                (b'(', Some(b')')) => return self.begin(Capture::Place(s), s, p + 2),
                (b'(', _) => return self.begin(Capture::Open(s), s, p + 1),
                (b')', _) => return self.end(s, p + 1),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', Some(b'b')) => self.balanced(s, p + 2)?.map(|s| (s, p + 4)),
                (b'%', Some(b'f')) => self.frontier(s, p + 2)?.map(|p| (s, p)),
                (b'%', Some(&digit @ b'0'..=b'9')) => self.repeated(s, digit)?.map(|s| (s, p + 2)),
                _ => {
                    let end = set::item_end(self.pattern, p)?;
                    match self.pattern.get(end) {
                        Some(b'*') => return self.longest_first(s, p, end),
                        Some(b'+') if self.is_one(s, p, end) => {
                            return self.longest_first(s + 1, p, end)
                        }
                        Some(b'-') => return self.shortest_first(s, p, end),
                        Some(b'?') => {
                            if self.is_one(s, p, end) {
                                if let Some(found) = self.run(s + 1, end + 1)? {
                                    return Ok(Some(found));
                                }
                            }
                            Some((s, end + 1))
                        }
                        Some(b'+') => None,
                        _ => self.is_one(s, p, end).then_some((s + 1, end)),
                    }
                }
            };
            match next {
                Some(next) => (s, p) = next,
                None => return Ok(None),
            }
        }
    }

    /// Whether the item `pattern[p..end]` stands for the byte at `s`; the text's end is no byte.
    fn is_one(&self, s: usize, p: usize, end: usize) -> bool {
        self.text.get(s).is_some_and(|byte| set::is_one(*byte, self.pattern, p, end))
    }

    fn longest_first(&mut self, s: usize, p: usize, end: usize) -> Outcome {
        let mut many = 0;
        while self.is_one(s + many, p, end) {
            self.step()?;
            many += 1;
        }
        for many in (0..=many).rev() {
            if let Some(found) = self.run(s + many, end + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn shortest_first(&mut self, mut s: usize, p: usize, end: usize) -> Outcome {
        loop {
            if let Some(found) = self.run(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.is_one(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn begin(&mut self, capture: Capture, s: usize, p: usize) -> Outcome {
        if self.captures.len() >= MAX_CAPTURES {
            return Err("too many captures".into());
        }
        self.captures.push(capture);
        // What a failed way captured is forgotten.
        let level = self.captures.len();
        let found = self.run(s, p)?;
        if found.is_none() {
            self.captures.truncate(level - 1);
        }
        Ok(found)
    }

    fn end(&mut self, s: usize, p: usize) -> Outcome {
        let open = self.captures.iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(at) = open else { return Err("invalid pattern capture".into()) };
        let before = self.captures[at];
        if let Capture::Open(from) = before {
            self.captures[at] = Capture::Part(from, s);
        }
        let found = self.run(s, p)?;
        if found.is_none() {
            self.captures[at] = before;
        }
        Ok(found)
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balanced(&mut self, s: usize, p: usize) -> Outcome {
        let Some(&[open, close]) = self.pattern.get(p..p + 2) else {
            return Err("malformed pattern (missing arguments to '%b')".into());
        };
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for at in s + 1..self.text.len() {
            self.step()?;
            let byte = self.text[at];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: between a byte outside the set and one inside; the ends of the text count as zero bytes. The place in the
    /// pattern behind it.
    fn frontier(&self, s: usize, p: usize) -> Outcome {
        if self.pattern.get(p) != Some(&b'[') {
            return Err("missing '[' after '%f' in pattern".into());
        }
        let end = set::item_end(self.pattern, p)?;
        let set = &self.pattern[p + 1..end - 1];
        let before = s.checked_sub(1).map_or(0, |at| self.text[at]);
        let here = self.text.get(s).copied().unwrap_or(0);
        Ok((!set::in_set(before, set) && set::in_set(here, set)).then_some(end))
    }

    /// `%1` to `%9`: what was captured, once more.
    fn repeated(&mut self, s: usize, digit: u8) -> Outcome {
        let captured = match digit.checked_sub(b'1').and_then(|n| self.captures.get(n as usize)) {
            Some(Capture::Part(from, to)) => &self.text[*from..*to],
            // A place is as long as no text ever is.
            Some(Capture::Place(_)) => return Ok(None),
            _ => {
                let number = i32::from(digit) - i32::from(b'0');
                return Err(Fault::Pattern(format!("invalid capture index %{number}")));
            }
        };
        let length = captured.len();
        self.steps = self.steps.saturating_add(u32::try_from(length / 16).unwrap_or(u32::MAX) / 2);
        Ok(self.text[s..].starts_with(captured).then_some(s + length))
    }
}

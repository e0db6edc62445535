//! Tokens of a Lua source: just enough to see which names it uses.

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Identifier or keyword.
    Name(String),
    /// String literal.
    Text(String),
    /// Any other character.
    Sign(char),
}

/// The tokens of a source with their lines. Comments vanish; what is not Lua gives tokens nobody looks for.
pub(super) fn tokens(source: &str) -> Vec<(usize, Token)> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1 };
    let mut out = Vec::new();
    while let Some(c) = lexer.peek(0) {
        let line = lexer.line;
        out.extend(lexer.token(c).map(|token| (line, token)));
    }
    out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    /// The character so far ahead.
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Takes characters as long as they are of a kind.
    fn skip_while(&mut self, of_kind: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&of_kind) {
            self.at += 1;
        }
    }

    /// Takes what begins with `c`; a token, unless it is white space or a comment.
    fn token(&mut self, c: char) -> Option<Token> {
        match c {
            '\n' => {
                self.line += 1;
                self.at += 1;
                None
            }
            c if c.is_whitespace() => {
                self.at += 1;
                None
            }
            '-' if self.peek(1) == Some('-') => {
                self.at += 2;
                if self.long().is_none() {
                    self.skip_while(|c| c != '\n');
                }
                None
            }
            '[' if matches!(self.peek(1), Some('[' | '=')) => match self.long() {
                Some(text) => Some(Token::Text(text)),
                None => self.sign(c),
            },
            '"' | '\'' => Some(Token::Text(self.quoted(c))),
            c if c.is_alphabetic() || c == '_' => {
                let start = self.at;
                self.skip_while(|c| c.is_alphanumeric() || c == '_');
                Some(Token::Name(self.chars[start..self.at].iter().collect()))
            }
            c => self.sign(c),
        }
    }

    fn sign(&mut self, c: char) -> Option<Token> {
        self.at += 1;
        Some(Token::Sign(c))
    }

    /// A text up to its closing quote, or to the end of the line that lacks one.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' => {
                    text.extend(self.peek(0));
                    self.at += 1;
                }
                '\n' => {
                    self.line += 1;
                    break;
                }
                c if c == quote => break,
                c => text.push(c),
            }
        }
        text
    }

    /// The text of a long bracket, if there is one here.
    fn long(&mut self) -> Option<String> {
        let (text, end, lines) = long(&self.chars, self.at)?;
        self.at = end;
        self.line += lines;
        Some(text)
    }
}

/// A long bracket at `at`: its text, where it ends, and how many lines it has.
fn long(bytes: &[char], at: usize) -> Option<(String, usize, usize)> {
    let mut level = 0;
    if bytes.get(at) != Some(&'[') {
        return None;
    }
    while bytes.get(at + 1 + level) == Some(&'=') {
        level += 1;
    }
    if bytes.get(at + 1 + level) != Some(&'[') {
        return None;
    }
    let close: Vec<char> =
        [']'].into_iter().chain(std::iter::repeat_n('=', level)).chain([']']).collect();
    let start = at + 2 + level;
    let mut end = start;
    while end < bytes.len() && !bytes[end..].starts_with(&close) {
        end += 1;
    }
    let text: String = bytes[start..end.min(bytes.len())].iter().collect();
    let lines = text.matches('\n').count();
    Some((text, (end + close.len()).min(bytes.len()), lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments() {
        let t = tokens("a.b -- kumo.x\n'kumo.y' [[z\n]] --[[ kumo.w\n ]] \"q\\\"r\" c");
        let name = |s: &str| Token::Name(s.into());
        assert_eq!(
            t,
            [
                (1, name("a")),
                (1, Token::Sign('.')),
                (1, name("b")),
                (2, Token::Text("kumo.y".into())),
                (2, Token::Text("z\n".into())),
                (4, Token::Text("q\"r".into())),
                (4, name("c")),
            ]
        );
    }
}

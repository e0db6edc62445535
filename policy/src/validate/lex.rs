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
    let bytes: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        match c {
            '\n' => {
                line += 1;
                at += 1;
            }
            c if c.is_whitespace() => at += 1,
            '-' if next == Some('-') => {
                at += 2;
                match long(&bytes, at) {
                    Some((_, end, lines)) => {
                        at = end;
                        line += lines;
                    }
                    None => {
                        while bytes.get(at).is_some_and(|c| *c != '\n') {
                            at += 1;
                        }
                    }
                }
            }
            '[' if matches!(next, Some('[' | '=')) => match long(&bytes, at) {
                Some((text, end, lines)) => {
                    out.push((line, Token::Text(text)));
                    at = end;
                    line += lines;
                }
                None => {
                    out.push((line, Token::Sign(c)));
                    at += 1;
                }
            },
            '"' | '\'' => {
                let mut text = String::new();
                at += 1;
                while let Some(&d) = bytes.get(at) {
                    at += 1;
                    match d {
                        '\\' => {
                            text.extend(bytes.get(at));
                            at += 1;
                        }
                        '\n' => {
                            line += 1;
                            break;
                        }
                        d if d == c => break,
                        d => text.push(d),
                    }
                }
                out.push((line, Token::Text(text)));
            }
            c if c.is_alphabetic() || c == '_' => {
                let start = at;
                while bytes.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                    at += 1;
                }
                out.push((line, Token::Name(bytes[start..at].iter().collect())));
            }
            c => {
                out.push((line, Token::Sign(c)));
                at += 1;
            }
        }
    }
    out
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

//! What is in a message's styles: properties, units, functions, rules, selectors. Read by their tokens; how deep blocks may be
//! nested is bounded, and what lies deeper is passed over.

use super::facts::{image, Facts};
use cssparser::{ParseError, Parser, Token};

/// Blocks within blocks.
const DEPTH: usize = 12;

/// A style sheet.
pub fn sheet(text: &str, facts: &mut Facts) {
    rules(&mut Parser::new(text), facts, 0);
}

/// The value of a style attribute.
pub fn inline(text: &str, facts: &mut Facts) {
    declarations(&mut Parser::new(text), facts, 0);
}

fn rules(parser: &mut Parser<'_>, facts: &mut Facts, depth: usize) {
    let mut prelude: Vec<Token<'_>> = Vec::new();
    let mut at = None;
    while let Ok(token) = parser.next_including_whitespace_and_comments().cloned() {
        match token {
            Token::AtKeyword(name) if prelude.iter().all(is_space) => {
                facts.saw("at", &name);
                at = Some(name.to_ascii_lowercase());
                prelude.clear();
            }
            Token::Semicolon | Token::CDO | Token::CDC => {
                (at, prelude) = (None, Vec::new());
            }
            Token::CurlyBracketBlock => {
                block(parser, at.take().as_deref(), &prelude, facts, depth);
                prelude.clear();
            }
            Token::ParenthesisBlock if at.as_deref() == Some("media") => {
                nested(parser, depth, |parser| media(parser, facts));
            }
            Token::Comment(_) => facts.saw("css", "comment"),
            Token::Function(_) | Token::SquareBracketBlock | Token::ParenthesisBlock => {
                prelude.push(token);
            }
            token => prelude.push(token),
        }
    }
}

fn is_space(token: &Token<'_>) -> bool {
    matches!(token, Token::WhiteSpace(_) | Token::Comment(_))
}

fn nested(parser: &mut Parser<'_>, depth: usize, mut work: impl FnMut(&mut Parser<'_>)) {
    if depth < DEPTH {
        let _ = parser.parse_nested_block(|parser| {
            work(parser);
            while parser.next().is_ok() {}
            Ok::<(), ParseError<()>>(())
        });
    }
}

fn media(parser: &mut Parser<'_>, facts: &mut Facts) {
    while let Ok(token) = parser.next().cloned() {
        if let Token::Ident(name) = token {
            facts.saw("media", &name);
        }
    }
}

fn block(
    parser: &mut Parser<'_>,
    at: Option<&str>,
    prelude: &[Token<'_>],
    facts: &mut Facts,
    depth: usize,
) {
    match at {
        Some("media" | "supports" | "layer" | "container" | "document") => {
            nested(parser, depth, |parser| rules(parser, facts, depth + 1));
        }
        Some(name) if name.ends_with("keyframes") => {
            nested(parser, depth, |parser| frames(parser, facts, depth + 1));
        }
        Some(_) => nested(parser, depth, |parser| declarations(parser, facts, depth + 1)),
        None => {
            selector(prelude, facts);
            nested(parser, depth, |parser| declarations(parser, facts, depth + 1));
        }
    }
}

/// The steps of an animation, whose names are no selectors.
fn frames(parser: &mut Parser<'_>, facts: &mut Facts, depth: usize) {
    while let Ok(token) = parser.next().cloned() {
        if token == Token::CurlyBracketBlock {
            nested(parser, depth, |parser| declarations(parser, facts, depth + 1));
        }
    }
}

fn declarations(parser: &mut Parser<'_>, facts: &mut Facts, depth: usize) {
    let mut property: Option<String> = None;
    let mut name: Option<String> = None;
    let mut important = false;
    while let Ok(token) = parser.next_including_whitespace_and_comments().cloned() {
        match token {
            Token::Semicolon => (property, name, important) = (None, None, false),
            Token::Colon if property.is_none() => {
                if let Some(named) = name.take() {
                    facts.saw("property", &named);
                    if named.starts_with("--") {
                        facts.saw("css", "variable");
                    }
                    property = Some(named);
                }
            }
            Token::CurlyBracketBlock => {
                facts.saw("css", "nesting");
                nested(parser, depth, |parser| declarations(parser, facts, depth + 1));
                (property, name) = (None, None);
            }
            Token::Ident(ident) if property.is_none() => name = Some(ident.to_ascii_lowercase()),
            Token::Comment(_) => facts.saw("css", "comment"),
            Token::Delim('!') => important = true,
            Token::Ident(ident) if important && ident.eq_ignore_ascii_case("important") => {
                facts.saw("css", "important");
            }
            token => {
                if let Some(property) = property.as_deref() {
                    value(parser, property, &token, facts, depth);
                }
            }
        }
    }
}

fn value(
    parser: &mut Parser<'_>,
    property: &str,
    token: &Token<'_>,
    facts: &mut Facts,
    depth: usize,
) {
    match token {
        Token::Ident(ident) => {
            facts.saw("value", ident);
            facts.saw("value", &format!("{property}={ident}"));
        }
        Token::Dimension { unit, .. } => facts.saw("unit", unit),
        Token::Percentage { .. } => facts.saw("unit", "percent"),
        Token::UnquotedUrl(address) => image(address, facts),
        Token::Function(function) => {
            facts.saw("function", function);
            nested(parser, depth, |parser| {
                while let Ok(token) = parser.next().cloned() {
                    match &token {
                        Token::QuotedString(text) => image(text, facts),
                        token => value(parser, property, token, facts, depth + 1),
                    }
                }
            });
        }
        _ => {}
    }
}

/// A selector by its tokens; what its brackets hold was passed over.
fn selector(tokens: &[Token<'_>], facts: &mut Facts) {
    let mut colons = 0;
    let (mut dot, mut simple, mut space) = (false, 0, false);
    for token in tokens {
        let combinator = match token {
            Token::Comma => Some("grouping"),
            Token::Delim('>') => Some("child"),
            Token::Delim('+') => Some("adjacent"),
            Token::Delim('~') => Some("sibling"),
            _ => None,
        };
        if let Some(combinator) = combinator {
            facts.saw("selector", combinator);
            (simple, space) = (0, false);
            continue;
        }
        if is_space(token) {
            space = simple > 0;
            continue;
        }
        if std::mem::take(&mut space) {
            facts.saw("selector", "descendant");
            simple = 0;
        }
        simple += 1;
        match token {
            Token::Colon => {
                colons += 1;
                simple -= 1;
                continue;
            }
            Token::Ident(name) | Token::Function(name) if colons > 0 => facts.saw("pseudo", name),
            Token::Ident(_) if dot => {
                facts.saw("selector", "class");
                if simple > 1 {
                    facts.saw("selector", "chaining");
                }
            }
            Token::Ident(_) => facts.saw("selector", "type"),
            Token::IDHash(_) | Token::Hash(_) => facts.saw("selector", "id"),
            Token::SquareBracketBlock => facts.saw("selector", "attribute"),
            Token::Delim('*') => facts.saw("selector", "universal"),
            Token::Delim('.') => {
                dot = true;
                simple -= 1;
                continue;
            }
            _ => {}
        }
        (colons, dot) = (0, false);
    }
}

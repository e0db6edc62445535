//! Length and nesting of a template, before it is parsed.

use minijinja::machinery::{Token, Tokenizer};

use crate::limits::{
    MAX_TEMPLATE_BLOCKS, MAX_TEMPLATE_DEPTH, MAX_TEMPLATE_TAG_OPERATORS, MAX_TEMPLATE_TOKENS,
};

/// Statements of Jinja that have an end of their own.
const BLOCKS: [&str; 9] =
    ["for", "if", "macro", "call", "filter", "with", "set", "block", "autoescape"];

/// What is known of a Jinja template before it is parsed.
#[derive(Default)]
pub(super) struct Jinja {
    /// Longest text, in bytes, that may be written more than once: it stands in a loop, a macro or a block.
    pub repeated_text: usize,
}

/// Checks a Jinja template. The parser, the compiler and the release of what they made recurse with each operator of an
/// expression and each branch of a statement.
pub(super) fn jinja(name: &str, source: &str) -> Result<Jinja, String> {
    let mut tokenizer = Tokenizer::new(source, name, false, Default::default(), Default::default());
    let mut found = Jinja::default();
    let mut open: Vec<Open> = Vec::new();
    let mut total = 0;
    let mut tag = Tag::default();
    loop {
        let token = match tokenizer.next_token() {
            Ok(Some((token, _))) => token,
            Ok(None) => return Ok(found),
            Err(error) => return Err(error.to_string()),
        };
        total += 1;
        if total > MAX_TEMPLATE_TOKENS {
            return Err(format!("more than {MAX_TEMPLATE_TOKENS} words and operators in tags"));
        }
        match &token {
            Token::TemplateData(text) => {
                total -= 1;
                if open.iter().any(|statement| statement.repeats) {
                    found.repeated_text = found.repeated_text.max(text.len());
                }
            }
            Token::VariableStart | Token::BlockStart => tag = Tag::default(),
            Token::BlockEnd => tag.close(&mut open),
            Token::Ident(word) if tag.word.is_empty() => tag.word = word.to_string(),
            other => tag.count(other),
        }
        let branches: usize = open.iter().map(|statement| statement.branches).sum();
        if branches > MAX_TEMPLATE_BLOCKS {
            return Err(format!("statements are nested deeper than {MAX_TEMPLATE_BLOCKS}"));
        }
        if tag.operators > MAX_TEMPLATE_TAG_OPERATORS {
            return Err(format!("more than {MAX_TEMPLATE_TAG_OPERATORS} operators in one tag"));
        }
    }
}

/// An open statement.
struct Open {
    branches: usize,
    /// What stands in it may be written more than once.
    repeats: bool,
}

/// The tag that is being read.
#[derive(Default)]
struct Tag {
    word: String,
    assigns: bool,
    operators: usize,
}

impl Tag {
    fn count(&mut self, token: &Token<'_>) {
        match token {
            Token::Assign => self.assigns = true,
            Token::Ident("not" | "and" | "or" | "in" | "is" | "if" | "else") => {
                self.operators += 1;
            }
            Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Comma
            | Token::Colon
            | Token::VariableEnd
            | Token::BracketClose
            | Token::ParenClose
            | Token::BraceClose => {}
            _ => self.operators += 1,
        }
    }

    /// The end of a statement's tag.
    fn close(&mut self, open: &mut Vec<Open>) {
        let word = self.word.as_str();
        if BLOCKS.contains(&word) && !(word == "set" && self.assigns) {
            let repeats = ["for", "macro", "call", "block"].contains(&word);
            open.push(Open { branches: 1, repeats });
        } else if word.starts_with("end") {
            open.pop();
        } else if let ("elif" | "else", Some(statement)) = (word, open.last_mut()) {
            statement.branches += 1;
        }
    }
}

/// Checks a Handlebars template. The crate recurses with its blocks and brackets, and without end into partials that name
/// themselves: what is too deep is refused, and partials are, of which there is no other to name.
pub(super) fn handlebars(source: &str) -> Result<(), String> {
    let blank = |c: char| c == '~' || c.is_ascii_whitespace();
    let mut blocks: Vec<usize> = Vec::new();
    let mut rest = source;
    let mut total = 0;
    while let Some(at) = rest.find("{{") {
        let tag = rest[at..].trim_start_matches('{').trim_start_matches(blank);
        let end = tag.find("}}").unwrap_or(tag.len());
        let inside = &tag[..end];
        rest = &tag[end..];
        total += 1 + inside.len() / 4;
        let word = inside.trim_start_matches('#').trim_start_matches(blank);
        if word.starts_with(['>', '*']) {
            return Err("partials are not supported".into());
        }
        match (inside.chars().next(), blocks.last_mut()) {
            (Some('#'), _) => blocks.push(1),
            (Some('^'), _) if inside.len() > 1 => blocks.push(1),
            (Some('/'), _) => drop(blocks.pop()),
            (_, Some(chain)) if word.starts_with("else") => *chain += 1,
            _ => {}
        }
        let brackets = inside.chars().fold((0usize, 0), |(depth, most), c| match c {
            '(' | '[' | '{' => (depth + 1, most.max(depth + 1)),
            ')' | ']' | '}' => (depth.saturating_sub(1), most),
            _ => (depth, most),
        });
        if blocks.iter().sum::<usize>() + brackets.1 > MAX_TEMPLATE_DEPTH {
            return Err(format!("blocks and brackets are nested deeper than {MAX_TEMPLATE_DEPTH}"));
        }
        if total > MAX_TEMPLATE_TOKENS {
            return Err(format!("more than {MAX_TEMPLATE_TOKENS} words and operators in tags"));
        }
    }
    Ok(())
}

//! What is in a message's HTML: tags, attributes, images, and what its styles say.

use super::css;
use super::facts::{begins, image, Facts};
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

/// Reads HTML.
pub fn of_html(html: &str) -> Facts {
    let mut facts = Facts::default();
    let mut emitter = DefaultEmitter::default();
    // Without it the text of a style element would be read as tags.
    emitter.naively_switch_states(true);
    let mut within_style = false;
    let mut sheet = String::new();
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                within_style = tag.name.as_slice() == b"style";
                element(&tag, &mut facts);
            }
            Token::EndTag(_) if within_style => {
                within_style = false;
                css::sheet(&std::mem::take(&mut sheet), &mut facts);
            }
            Token::String(text) if within_style => {
                sheet.push_str(&String::from_utf8_lossy(&text.value));
            }
            Token::Comment(_) => facts.saw("html", "comment"),
            Token::Doctype(_) => facts.saw("html", "doctype"),
            _ => {}
        }
    }
    css::sheet(&sheet, &mut facts);
    facts
}

fn element(tag: &StartTag<()>, facts: &mut Facts) {
    let name = String::from_utf8_lossy(&tag.name).to_ascii_lowercase();
    if !["html", "head", "meta", "title", "base", "link", "style"].contains(&name.as_str()) {
        facts.nodes += 1;
    }
    facts.saw("tag", &name);
    for (attribute, value) in &tag.attributes {
        let attribute = String::from_utf8_lossy(attribute).to_ascii_lowercase();
        let value = String::from_utf8_lossy(&value.value);
        facts.saw("attribute", &attribute);
        match (name.as_str(), attribute.as_str()) {
            ("input" | "button", "type") => facts.saw(&name, value.trim()),
            ("meta", "name") => facts.saw("meta", value.trim()),
            ("a" | "area", "href") if value.trim_start().starts_with('#') => {
                facts.saw("link", "local")
            }
            ("a" | "area", "href") if begins(&value, "mailto:") => facts.saw("link", "mailto"),
            ("img" | "source" | "image", "src" | "href") | (_, "background") => {
                image(&value, facts)
            }
            (_, "style") => css::inline(&value, facts),
            _ => {}
        }
    }
}

//! The text of an HTML body: what a reader sees of it, a line for each block.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements that stand on lines of their own.
const BLOCKS: [&[u8]; 28] = [
    b"address",
    b"article",
    b"aside",
    b"blockquote",
    b"br",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"figure",
    b"footer",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"header",
    b"hr",
    b"li",
    b"main",
    b"ol",
    b"p",
    b"pre",
    b"section",
    b"table",
    b"tr",
    b"ul",
];
/// Elements that stand apart from what is beside them.
const CELLS: [&[u8]; 2] = [b"td", b"th"];
/// Elements whose content nobody sees.
const HIDDEN: [&[u8]; 5] = [b"head", b"script", b"style", b"template", b"title"];

/// Text that grows.
#[derive(Default)]
struct Shown {
    text: String,
    /// White space has come since.
    has_gap: bool,
}

impl Shown {
    fn add(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_ascii_whitespace() {
                self.has_gap = true;
                continue;
            }
            if std::mem::take(&mut self.has_gap)
                && !self.text.is_empty()
                && !self.text.ends_with('\n')
            {
                self.text.push(' ');
            }
            self.text.push(c);
        }
    }

    fn new_line(&mut self) {
        self.has_gap = false;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Stands where a tag is.
    fn pass(&mut self, name: &[u8]) {
        if BLOCKS.contains(&name) {
            self.new_line();
        } else if CELLS.contains(&name) {
            self.has_gap = true;
        }
    }
}

/// The text of `html`.
pub fn text_of(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // Without it the text of a style element would be read as tags.
    emitter.naively_switch_states(true);
    let mut shown = Shown::default();
    let mut hidden: Option<Vec<u8>> = None;
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) if hidden.is_none() => {
                match HIDDEN.contains(&tag.name.as_slice()) && !tag.self_closing {
                    true => hidden = Some(tag.name.to_vec()),
                    false => shown.pass(&tag.name),
                }
            }
            // A head that nobody ends is over where the body begins.
            Token::StartTag(tag) if tag.name.as_slice() == b"body" => hidden = None,
            Token::EndTag(tag) => match &hidden {
                Some(name) if name.as_slice() == tag.name.as_slice() => hidden = None,
                Some(_) => {}
                None => shown.pass(&tag.name),
            },
            Token::String(text) if hidden.is_none() => {
                shown.add(&String::from_utf8_lossy(&text.value));
            }
            _ => {}
        }
    }
    shown.text
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn words_stay_whole_and_apart() {
        assert_eq!(text_of("<h1>Hello</h1><p>from <b>ring</b>mta</p>"), "Hello\nfrom ringmta\n");
        assert_eq!(text_of("<p>one</p><b>row</b> of <i>it</i>"), "one\nrow of it");
        assert_eq!(text_of("a<br>b<BR/>c<td>d</td><td>e</td><"), "a\nb\nc d e <");
        assert_eq!(text_of("<ul><li>a<li>b</ul>1 &lt; 2 &amp; 3&nbsp;x"), "a\nb\n1 < 2 & 3\u{a0}x");
        assert_eq!(text_of(" \n a \t\n b \n"), "a b");
    }

    #[test]
    fn what_nobody_sees_is_no_text() {
        let html =
            "<head><title>T</title><style>a>b{}</style></head><body>x<script>if (1<2) y</script>\
                    <!-- c --><template>t<b>u</b></template>z";
        assert_eq!(text_of(html), "xz");
        assert_eq!(text_of("<head><meta name=a><body>seen"), "seen", "a head without an end");
    }

    /// As many tags as bytes allow cost no more than their length.
    #[test]
    fn much_of_it_ends_soon() {
        let deep = "<div><b>".repeat(200_000);
        assert_eq!(text_of(&deep), "");
        assert_eq!(text_of(&"<p>a".repeat(100_000)).len(), 200_000 - 1);
    }
}

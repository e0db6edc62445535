//! Links in the HTML of a message: they open in a tab of their own, which learns neither who opened it nor from where.

/// What is put in front of all other attributes of a link: of two attributes with one name browsers take the first.
/// There is no quote in it, for the tag may stand inside an attribute's value, and the space is written as a reference.
const OUTSIDE: &str = " target=_blank rel=noopener&#32;noreferrer";
/// The same for `<link>`, which may have a browser look up names or connect though it loads nothing.
const INERT: &str = " rel=alternate";

/// Bytes of a `<link>` that are looked at: very many of them, none of which ends, must not multiply.
const LINK_BYTES: usize = 4096;
/// What keeps a `<meta>` from leading elsewhere or saying anything in the name of a header.
const SAYS_NOTHING: &str = " http-equiv=none";

/// The HTML with its links made so. With `inert` its `<link>` elements do nothing; without, those of style sheets work, and
/// none that would have a browser fetch or look up what is not shown.
pub fn outside(html: &str, inert: bool) -> String {
    marked(html, |name, behind| match name {
        "a" | "area" => Some(OUTSIDE),
        "link" if inert || !is_stylesheet(behind) => Some(INERT),
        _ => None,
    })
}

/// Whether the attributes in front of the next `>` are those of a style sheet and nothing besides. References to characters
/// may write any other word, so what has them is not taken for one.
fn is_stylesheet(behind: &str) -> bool {
    let near = &behind.as_bytes()[..behind.len().min(LINK_BYTES)];
    let Some(end) = memchr::memchr(b'>', near) else { return false };
    let attributes = String::from_utf8_lossy(&near[..end]).to_ascii_lowercase();
    attributes.contains("stylesheet")
        && !["&#", "fetch", "preload", "preconnect", "prerender"]
            .iter()
            .any(|word| attributes.contains(word))
}

/// The HTML whose `<meta>` elements lead nowhere: browsers obey them where a script may run, even if that is ours alone.
pub fn staying(html: &str) -> String {
    marked(html, |name, _| (name == "meta").then_some(SAYS_NOTHING))
}

/// The HTML with what `attributes` gives for the name of an element in front of its other attributes.
fn marked(html: &str, attributes: impl Fn(&str, &str) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(html.len() + html.len() / 16);
    let mut rest = html;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        let (before, tag) = rest.split_at(at + 1);
        out.push_str(before);
        let length = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, behind) = tag.split_at(length);
        out.push_str(name);
        let has_attributes =
            behind.bytes().next().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b'/');
        if has_attributes {
            out.push_str(attributes(&name.to_ascii_lowercase(), behind).unwrap_or_default());
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The HTML with something of ours in front of everything but its document type, without which browsers lay it out by the
/// rules of the last century.
pub fn prepend(html: &str, ours: &str) -> String {
    let start = html.len() - html.trim_start().len();
    let is_doctype = html[start..].get(..9).is_some_and(|s| s.eq_ignore_ascii_case("<!doctype"));
    let end = if is_doctype { html[start..].find('>').map(|at| start + at + 1) } else { None };
    let (head, rest) = html.split_at(end.unwrap_or(0));
    format!("{head}{ours}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_elsewhere() {
        let html = "<META http-equiv=refresh content='0;url=//x.test'><a href=x>";
        let wanted = "<META http-equiv=none http-equiv=refresh content='0;url=//x.test'><a href=x>";
        assert_eq!(staying(html), wanted);
    }

    #[test]
    fn ours_stands_behind_the_document_type() {
        for (html, wanted) in [
            ("\n<!DocType html>\n<p>", "\n<!DocType html>X\n<p>"),
            ("<p>", "X<p>"),
            ("", "X"),
            ("<!doctype html", "X<!doctype html"),
            ("<!doctyp\u{e9}>", "X<!doctyp\u{e9}>"),
        ] {
            assert_eq!(prepend(html, "X"), wanted);
        }
    }

    #[test]
    fn links_open_outside() {
        let html =
            "<!DOCTYPE html><A HREF='http://x.test/' target=_self rel=opener>a</A><area/href=y>";
        assert_eq!(
            outside(html, true),
            "<!DOCTYPE html><A target=_blank rel=noopener&#32;noreferrer HREF='http://x.test/' \
             target=_self rel=opener>a</A><area target=_blank rel=noopener&#32;noreferrer/href=y>"
        );
        for same in ["<abbr title=x>", "<a>", "a < b", "<", "<\u{e9}>", "<address class=a>", ""] {
            assert_eq!(outside(same, true), same);
        }
        let link = "<link rel=preconnect href=//x.test>";
        assert_eq!(outside(link, true), "<link rel=alternate rel=preconnect href=//x.test>");
        for works in ["<link rel=stylesheet href=//x.test>", "<LINK href=x REL='StyleSheet' >"] {
            assert_eq!(outside(works, false), works);
            assert_ne!(outside(works, true), works);
        }
        for fetches in
            ["preconnect", "prefetch", "'stylesheet prefetch'", "'stylesheet pre&#102;etch'"]
        {
            let link = format!("<link rel={fetches} href=//x.test>");
            assert!(outside(&link, false).starts_with("<link rel=alternate "), "{link}");
        }
        // Inside a value it stays inside it.
        assert!(!outside("<img alt=\"<a b>\">", true).replace("\"<a", "").contains("\" t"));
    }
}

//! The Handlebars dialect.

use std::io::{self, Write};

use handlebars::template::{Template, TemplateElement};
use handlebars::{
    no_escape, Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason,
};
use serde::Serialize;

use super::{budget, shape};
use crate::limits::MAX_TEMPLATE_OUTPUT_BYTES;

/// Helper that counts a turn of a block; no template can name it.
const TICK: &str = "ringmta-tick";
const NAME: &str = "template";

/// A compiled template.
pub(super) struct Bars {
    registry: Handlebars<'static>,
    name: String,
}

fn tick(
    _: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    _: &mut dyn Output,
) -> HelperResult {
    budget::step().map_err(|why| RenderErrorReason::Other(why).into())
}

impl Bars {
    pub fn compile(name: &str, source: &str) -> Result<Bars, String> {
        shape::handlebars(source)?;
        let mut registry = Handlebars::new();
        // A name that a block does not have is looked for around it.
        registry.set_recursive_lookup(true);
        if !name.ends_with(".html") {
            registry.register_escape_fn(no_escape);
        }
        registry.register_helper(TICK, Box::new(tick));
        let mut template =
            Template::compile_with_name(source, name.to_owned()).map_err(|e| e.to_string())?;
        let ticks = Template::compile(&format!("{{{{{TICK} 0}}}}")).map_err(|e| e.to_string())?;
        count_turns(&mut template, &ticks);
        registry.register_template(NAME, template);
        Ok(Bars { registry, name: name.to_owned() })
    }

    pub fn render(&self, context: &impl Serialize) -> Result<String, String> {
        budget::begin();
        let mut out = Bounded(Vec::new());
        self.registry.render_to_write(NAME, context, &mut out).map_err(|e| {
            e.to_string().replace(&format!("\"{NAME}\""), &format!("{:?}", self.name))
        })?;
        String::from_utf8(out.0).map_err(|e| e.to_string())
    }
}

/// Puts a tick in front of each block's content: a loop over nothing that writes nothing counts too.
fn count_turns(template: &mut Template, ticks: &Template) {
    for element in &mut template.elements {
        let TemplateElement::HelperBlock(block) = element else { continue };
        for inner in [&mut block.template, &mut block.inverse].into_iter().flatten() {
            count_turns(inner, ticks);
            // A chain of `else if` is one element, and must stay so.
            let chained = matches!(&inner.elements[..],
                [TemplateElement::HelperBlock(next)] if next.chain);
            if let (false, Some(tick), Some(place)) =
                (chained, ticks.elements.first(), ticks.mapping.first())
            {
                inner.elements.insert(0, tick.clone());
                inner.mapping.insert(0, place.clone());
            }
        }
    }
}

/// Takes no more than a message may have.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEMPLATE_OUTPUT_BYTES {
            return Err(io::Error::other(format!(
                "the template makes more than {MAX_TEMPLATE_OUTPUT_BYTES} bytes"
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! A template of any dialect.

use serde::Serialize;

use super::{handlebars, jinja};

/// How a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Jinja2, as minijinja has it.
    #[default]
    Jinja,
    /// Handlebars, without partials and decorators.
    Handlebars,
    /// Text that is taken as it is.
    Static,
}

/// A template, checked and compiled: it may be filled in many times.
pub struct Template<'s>(Kind<'s>);

enum Kind<'s> {
    Jinja(Box<jinja::Jinja<'s>>),
    Handlebars(Box<handlebars::Bars>),
    Static(&'s str),
}

impl<'s> Template<'s> {
    /// Compiles `source`. What is filled into a template whose name ends in `.html` is escaped for HTML; of a Jinja template
    /// whose name ends in `.json`, written as JSON.
    ///
    /// # Errors
    /// What is wrong with it, or which bound it passes.
    pub fn compile(
        dialect: Dialect,
        name: &'s str,
        source: &'s str,
    ) -> Result<Template<'s>, String> {
        Ok(Template(match dialect {
            // Text without any tag is the same in every dialect but for its last line end.
            Dialect::Static => Kind::Static(source),
            Dialect::Jinja => Kind::Jinja(Box::new(jinja::Jinja::compile(name, source)?)),
            Dialect::Handlebars => {
                Kind::Handlebars(Box::new(handlebars::Bars::compile(name, source)?))
            }
        }))
    }

    /// Fills it in.
    ///
    /// # Errors
    /// What is wrong, or which bound was passed.
    pub fn render(&self, context: &impl Serialize) -> Result<String, String> {
        match &self.0 {
            Kind::Static(text) => Ok((*text).to_owned()),
            Kind::Jinja(template) => template.render(context),
            Kind::Handlebars(template) => template.render(context),
        }
    }
}

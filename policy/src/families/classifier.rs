//! `kumo.configure_bounce_classifier`.

use std::rc::Rc;
use std::sync::Arc;

use mlua::{Error, Lua, Result, Table, Value};
use ringmta_options::classify::{ClassifierRules, RuleFile, BUILT_IN};
use ringmta_options::*;

use crate::limits::CLASSIFIER_CACHE_ENTRIES;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;
use crate::vm::{self, Ctx};

const PER_SHARD: &str = "failures are sorted by the shard that has them";

option_table! {
    /// Rules that sort failures into categories.
    pub struct BounceClassifier for "kumo.configure_bounce_classifier" {
        /// Rule files, TOML or JSON: `[rules]`, then lists of regular expressions by category.
        files: Vec<String> = Vec::new(); Support::Required,
        /// Responses that may wait.
        back_pressure: usize = 131_072; Support::NoEffect(PER_SHARD),
        /// Threads.
        pool_size: Option<usize> = None; Support::NoEffect(PER_SHARD),
        /// Texts each shard remembers.
        cache_size: usize = CLASSIFIER_CACHE_ENTRIES,
        /// Texts without a category that are remembered.
        uncategorized_cache_size: usize = 1024; Support::NoEffect("one memory holds both"),
    }
}

/// The customary place of the default rules, which are in the binary here.
const CUSTOMARY: &str = "bounce_classifier/iana.toml";

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    const CALL: &str = "configure_bounce_classifier";
    let ctx = ctx.clone();
    let f = lua.create_async_function(move |lua, v: Value| {
        let ctx = ctx.clone();
        async move {
            ctx.require_init(CALL)?;
            let options: BounceClassifier = options(&ctx, &to_plain(&v)?)?;
            let mut texts = Vec::new();
            for name in &options.files {
                texts.push((name.as_str(), text(&lua, name).await?));
            }
            let files: Vec<RuleFile> =
                texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
            let rules = ClassifierRules::compile(&files, options.cache_size)
                .map_err(|e| Error::runtime(format!("kumo.{CALL}: {e}")))?;
            vm::ctx(&lua)?.init.borrow_mut().bounce_classifier = Some(Arc::new(rules));
            Ok(())
        }
    })?;
    kumo.set(CALL, f)
}

async fn text(lua: &Lua, name: &str) -> Result<String> {
    match crate::families::serde::read_file(lua, name.to_owned()).await {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            Error::runtime(format!("kumo.configure_bounce_classifier: {name} is not UTF-8"))
        }),
        Err(_) if name.ends_with(CUSTOMARY) => Ok(BUILT_IN.to_owned()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use futures::executor::block_on;

    #[test]
    fn rules_reach_init() {
        let w = world(
            "kumo.on('init', function() kumo.configure_bounce_classifier {
               files = { '/nowhere/share/bounce_classifier/iana.toml' } } end)",
        );
        let init = block_on(w.policy.run_init()).unwrap();
        let rules = init.bounce_classifier.unwrap();
        assert_eq!(rules.category("550 5.1.1 x"), "InvalidAddress");
        let w = world(
            "kumo.on('init', function() kumo.configure_bounce_classifier { files = { '/no' } } end)",
        );
        assert!(block_on(w.policy.run_init()).unwrap_err().to_string().contains("reading /no"));
    }
}

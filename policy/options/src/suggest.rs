//! "Did you mean": the nearest known name to one that is not known.

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
pub use strsim::osa_distance as distance;

use crate::limits::SUGGESTION_DISTANCE;

/// The known name nearest to `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = SUGGESTION_DISTANCE.min(name.len() / 2).max(1);
    let close = |k: &str| k.len() > 3 && name.len() > 3 && (k.contains(name) || name.contains(k));
    known
        .map(|k| (distance(name, k), k))
        .filter(|(d, k)| *d <= allowed || close(k))
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// "unknown field `x`, expected one of `a`, `b`; did you mean `a`?"
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let list = known.clone().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    let hint = nearest(name, known).map(|k| format!("; did you mean `{k}`?")).unwrap_or_default();
    format!("unknown {what} `{name}`, expected one of {list}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered() {
        let known = ["max_age", "max_retry_interval", "retry_interval", "egress_pool"];
        assert_eq!(nearest("max_agee", known.into_iter()), Some("max_age"));
        assert_eq!(nearest("retry_intervall", known.into_iter()), Some("retry_interval"));
        assert_eq!(nearest("egres_pool", known.into_iter()), Some("egress_pool"));
        assert_eq!(nearest("completely_else", known.into_iter()), None);
        assert_eq!(nearest("amx_age", known.into_iter()), Some("max_age"));
    }

    #[test]
    fn whole_sentence() {
        assert_eq!(
            unknown("field", "lisen", ["listen", "name"].into_iter()),
            "unknown field `lisen`, expected one of `listen`, `name`; did you mean `listen`?"
        );
    }
}

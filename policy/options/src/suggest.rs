//! "Did you mean": the nearest known name to one that is not known.

use crate::limits::SUGGESTION_DISTANCE;

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

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
        assert_eq!(distance("amx_age", "max_age"), 1);
    }

    #[test]
    fn whole_sentence() {
        assert_eq!(
            unknown("field", "lisen", ["listen", "name"].into_iter()),
            "unknown field `lisen`, expected one of `listen`, `name`; did you mean `listen`?"
        );
    }
}

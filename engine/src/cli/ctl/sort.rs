//! Tables in the order that was asked for.

use super::table::columns;
use ringmta_policy::options::suggest;
use ringmta_policy::parse_duration;
use std::cell::RefCell;
use std::cmp::Ordering;

/// The order of the tables of one answer. Each table with the column is sorted by it, numbers and durations the largest
/// first, words by the alphabet; without a column each has its own order.
#[derive(Debug, Default)]
pub struct Sort<'a> {
    column: Option<&'a str>,
    reverse: bool,
    /// Headings of all tables so far.
    known: RefCell<Vec<String>>,
}

/// A number, or the seconds of a duration.
fn number(cell: &str) -> Option<f64> {
    cell.parse().ok().or_else(|| Some(parse_duration(cell)?.as_secs_f64()))
}

impl<'a> Sort<'a> {
    /// By this column, when one is given; with `reverse` the other way round.
    pub fn new(column: Option<&'a str>, reverse: bool) -> Sort<'a> {
        Sort { column, reverse, known: RefCell::default() }
    }

    /// Says which columns a table has that has no rows now.
    pub fn know(&self, headings: &[&str]) {
        let named = headings.iter().filter(|heading| !heading.is_empty());
        self.known.borrow_mut().extend(named.map(ToString::to_string));
    }

    /// A table, in order; `most` rows of it.
    pub fn table(&self, headings: &[&str], mut rows: Vec<Vec<String>>, most: usize) -> String {
        self.know(headings);
        let is_meant =
            |heading: &&str| self.column.is_some_and(|column| column.eq_ignore_ascii_case(heading));
        if let Some(at) = headings.iter().position(is_meant) {
            rows.sort_by(|a, b| {
                let order = compare(&a[at], &b[at]);
                if self.reverse {
                    order.reverse()
                } else {
                    order
                }
            });
        }
        rows.truncate(most);
        columns(headings, &rows)
    }

    /// Whether a table had the column.
    ///
    /// # Errors
    /// None had; the nearest that there is.
    pub fn check(&self) -> Result<(), String> {
        let Some(column) = self.column else { return Ok(()) };
        let known = self.known.borrow();
        if known.is_empty() {
            return Err("--sort: this command prints no table".into());
        }
        match known.iter().any(|name| name.eq_ignore_ascii_case(column)) {
            true => Ok(()),
            false => {
                let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
                names.sort_unstable();
                names.dedup();
                Err(format!("--sort: {}", suggest::unknown("column", column, names.into_iter())))
            }
        }
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(column: &str, reverse: bool) -> Vec<String> {
        let rows = [["b.test", "9", "1h"], ["a.test", "120", "4m 59s"], ["c.test", "30", "2d"]];
        let rows = rows.map(|row| row.map(String::from).to_vec()).to_vec();
        let text = Sort::new(Some(column), reverse).table(&["queue", "messages", "still"], rows, 9);
        text.lines().skip(1).map(|line| line[..1].to_string()).collect()
    }

    #[test]
    fn numbers_and_durations_fall_and_words_rise() {
        assert_eq!(sorted("messages", false), ["a", "c", "b"]);
        assert_eq!(sorted("Messages", true), ["b", "c", "a"]);
        assert_eq!(sorted("queue", false), ["a", "b", "c"]);
        assert_eq!(sorted("still", false), ["c", "b", "a"]);
        assert_eq!(sorted("else", false), ["b", "a", "c"]);
    }

    #[test]
    fn an_unknown_column_gets_the_nearest() {
        let sort = Sort::new(Some("mesages"), false);
        assert!(sort.check().unwrap_err().contains("no table"));
        sort.know(&["queue", "messages"]);
        let why = sort.check().unwrap_err();
        assert!(why.contains("`mesages`") && why.ends_with("did you mean `messages`?"), "{why}");
        assert!(Sort::new(Some("queue"), false).check().is_err(), "no table yet");
        assert!(Sort::default().check().is_ok());
    }
}

//! Text in columns.

/// Rows under their headings: columns two blanks apart, numbers to the right, nothing behind the last.
pub fn columns(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([headings[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let numeric: Vec<bool> = (0..headings.len())
        .map(|at| {
            let is_number = |row: &Vec<String>| row[at].parse::<f64>().is_ok();
            rows.iter().any(is_number)
                && rows.iter().all(|row| row[at].is_empty() || is_number(row))
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let mut out = String::new();
        for (at, cell) in cells.into_iter().enumerate() {
            let blanks = " ".repeat(widths[at] - cell.chars().count());
            match numeric[at] {
                true => out.extend([&*blanks, cell]),
                false => out.extend([cell, &*blanks]),
            }
            out.push_str("  ");
        }
        out.trim_end().to_string()
    };
    let mut lines = vec![line(headings.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_to_the_left_and_numbers_to_the_right() {
        let rows = [vec!["a.test".into(), "5".into()], vec!["b.example".into(), "120".into()]];
        let text = columns(&["queue", "waiting"], &rows);
        assert_eq!(text, "queue      waiting\na.test           5\nb.example      120");
    }
}

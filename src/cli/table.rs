//! Columns of text for people.

use std::fmt;

/// Rows under a header, each column as wide as its widest cell.
pub struct Table {
    header: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header: Vec<_> = header.iter().map(|cell| (*cell).to_owned()).collect();
        Self { right: vec![false; header.len()], header, rows: Vec::new() }
    }

    /// Aligns the column to the right, as numbers are.
    pub fn right(mut self, column: usize) -> Self {
        if let Some(right) = self.right.get_mut(column) {
            *right = true;
        }
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let lines = std::iter::once(&self.header).chain(&self.rows);
        lines.fold(vec![0; self.header.len()], |mut widths, line| {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
            widths
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for line in std::iter::once(&self.header).chain(&self.rows) {
            let mut text = String::new();
            for ((cell, width), right) in line.iter().zip(&widths).zip(&self.right) {
                let pad = " ".repeat(width - cell.chars().count());
                let cell = if *right { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
                text.push_str(&cell);
                text.push_str("  ");
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_each_other() {
        let mut table = Table::new(&["queue", "ready"]).right(1);
        table.row(["orders".to_owned(), "7".to_owned()]);
        table.row(["ylh".to_owned(), "1234".to_owned()]);
        assert_eq!(table.to_string(), "queue   ready\norders      7\nylh      1234\n");
    }
}

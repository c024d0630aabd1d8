//! The repetitive half of statements over many rows.

/// `$2, $3, ..`: so many from `first`.
pub(crate) fn numbered(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// `($2, $3, $4, $1), ..`: rows of `columns` parameters each, and the instant, which is the first.
pub(crate) fn rows(count: usize, columns: usize) -> String {
    let row = |n: usize| format!("({}, $1)", numbered(2 + n * columns, columns));
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_on_from_row_to_row() {
        assert_eq!(numbered(2, 3), "$2, $3, $4");
        assert_eq!(rows(2, 2), "($2, $3, $1), ($4, $5, $1)");
    }
}

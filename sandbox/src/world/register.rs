//! Rows that are found by the caller's own key or by the number we gave them.

use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Register<T> {
    rows: Vec<T>,
    by_key: HashMap<Box<str>, u32>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_key: HashMap::new() }
    }
}

impl<T> Register<T> {
    /// Adds a row and returns its number; a key that is taken keeps its row and gives `None`.
    pub(crate) fn insert(&mut self, key: &str, row: T) -> Option<u32> {
        if self.by_key.contains_key(key) {
            return None;
        }
        let no = self.next_no();
        self.by_key.insert(key.into(), no);
        self.rows.push(row);
        Some(no)
    }

    /// The number that the next row will have.
    pub(crate) fn next_no(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a sandbox holds fewer than 2^32 rows")
    }

    pub(crate) fn no(&self, key: &str) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.at(self.no(key)?)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let no = self.no(key)?;
        self.rows.get_mut(no as usize)
    }

    pub(crate) fn at(&self, no: u32) -> Option<&T> {
        self.rows.get(no as usize)
    }

    pub(crate) fn change_at(&mut self, no: u32, change: impl FnOnce(&mut T)) {
        if let Some(row) = self.rows.get_mut(no as usize) {
            change(row);
        }
    }

    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64
    }
}

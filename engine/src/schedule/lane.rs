//! What a schedule must know of a kind to make jobs of it.

use serde_json::value::RawValue;

use crate::job::{JobTable, Priority};

/// Where jobs of a kind go unless the schedule says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub queue: String,
    pub priority: Priority,
    /// The unique key that the kind gives to the payload.
    pub unique_key: Option<String>,
}

/// Why a kind and a payload make no job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// There is no such kind; `near` is one that may have been meant.
    UnknownKind { near: Option<String> },
    /// The payload is none of the kind: everything that is wrong with it.
    Payload(Vec<String>),
}

impl<C> JobTable<C> {
    /// The lane of a kind for a payload that decodes as one. Checks no JSON schema beyond what decoding does.
    pub fn lane(&self, kind: &str, payload: &RawValue) -> Result<Lane, Misfit> {
        let row = self
            .get(kind)
            .ok_or_else(|| Misfit::UnknownKind { near: nearest(kind, self.iter().map(|row| row.name)) })?;
        let unique_key = (row.unique_key)(payload).map_err(|e| Misfit::Payload(vec![e.to_string()]))?;
        Ok(Lane { queue: row.queue.to_owned(), priority: row.priority, unique_key })
    }
}

/// The candidate that differs from `word` in the fewest letters, if it is near enough to be a slip.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let keys = ["cron", "timezone", "catch_up"];
        assert_eq!(nearest("time_zone", keys.into_iter()), Some("timezone".to_owned()));
        assert_eq!(nearest("cronn", keys.into_iter()), Some("cron".to_owned()));
        assert_eq!(nearest("retries", keys.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

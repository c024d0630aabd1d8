//! Names of jobs and of deliveries.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The longest id that a caller may choose.
pub const JOB_ID_CHARS_MAX: usize = 64;

/// Names a job for ever. A UUIDv7 unless the caller chose it: enqueueing twice under one id is enqueueing once.
/// Copies share one text: a job's id is handed around a dozen times while it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 1 to {JOB_ID_CHARS_MAX} characters out of A-Z a-z 0-9 . _ : / -; got {0:?}")]
pub struct BadJobId(pub String);

impl JobId {
    /// A fresh id: UUIDv7, so that ids of one moment stand near each other.
    pub fn new(now: Timestamp) -> Self {
        let micros = now.micros().max(0) as u64;
        let at = uuid::Timestamp::from_unix(
            uuid::NoContext,
            micros / 1_000_000,
            (micros % 1_000_000) as u32 * 1_000,
        );
        uuid::Uuid::new_v7(at).into()
    }

    /// An id that a caller chose or derived.
    pub fn parse(text: impl Into<String>) -> Result<Self, BadJobId> {
        let text = text.into();
        let fits = (1..=JOB_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(BadJobId(text)) }
    }

    /// An id made out of parts that name the same thing at every try, such as a schedule and an instant. What an
    /// id cannot hold, or is too long for one, is replaced by a hash of the whole.
    pub fn derived(parts: &[&str]) -> Self {
        let plain = parts.join(":");
        Self::parse(plain).unwrap_or_else(|BadJobId(plain)| {
            // FNV-1a, twice with different bases: stable across builds and platforms, unlike std's hasher.
            let hash = |base: u64| {
                plain.bytes().fold(base, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
            };
            let head: String = plain.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
            Self(
                format!("{head}:{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15))
                    .into(),
            )
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<uuid::Uuid> for JobId {
    fn from(uuid: uuid::Uuid) -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid.as_hyphenated().encode_lower(&mut text)))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for JobId {
    type Err = BadJobId;
    fn from_str(text: &str) -> Result<Self, BadJobId> {
        Self::parse(text)
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Names one delivery of a job to a worker: the fence. Whoever holds an older token than the carrier can no
/// longer settle, renew or add follow-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_stable_and_fit() {
        assert_eq!(JobId::derived(&["fulfil_order", "SO-1001"]).as_str(), "fulfil_order:SO-1001");
        let long = JobId::derived(&["订单", &"x".repeat(200)]);
        assert_eq!(long, JobId::derived(&["订单", &"x".repeat(200)]));
        assert!(JobId::parse(long.as_str()).is_ok());
        assert_ne!(long, JobId::derived(&["订单", &"x".repeat(201)]));
    }

    #[test]
    fn an_id_with_a_space_is_refused() {
        assert!(JobId::parse("a b").is_err());
        assert!(JobId::parse("").is_err());
        assert!(JobId::parse("x".repeat(65)).is_err());
    }
}

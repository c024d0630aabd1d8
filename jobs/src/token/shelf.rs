//! Where processes share tokens.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use windlass_engine::Timestamp;

use crate::outside::Secret;

/// A token with its life, in the shop's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub value: Secret,
    /// The word in front of the token in `Authorization`; empty where there is none.
    pub token_type: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A place for tokens that all processes of a shop see.
///
/// `claim`'s two instants are wall time: claims are between processes, which the shop's clock does not move.
#[async_trait]
pub trait TokenShelf: Send + Sync {
    async fn load(&self, name: &str) -> anyhow::Result<Option<Token>>;

    /// Puts the token in place of the former; leaves claims as they are.
    async fn save(&self, name: &str, token: &Token) -> anyhow::Result<()>;

    /// True when `holder` may fetch: nobody held the claim, it ended before `now`, or it was `holder`'s own.
    async fn claim(&self, name: &str, holder: &str, now: Timestamp, until: Timestamp)
    -> anyhow::Result<bool>;

    /// Gives up the claim when it is `holder`'s; else does nothing.
    async fn release(&self, name: &str, holder: &str) -> anyhow::Result<()>;
}

/// A shelf in the process's own memory: for a shop of one process.
#[derive(Debug, Default)]
pub struct MemoryShelf(Mutex<HashMap<String, Place>>);

#[derive(Debug, Default)]
struct Place {
    token: Option<Token>,
    held: Option<(String, Timestamp)>,
}

impl MemoryShelf {
    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenShelf for MemoryShelf {
    async fn load(&self, name: &str) -> anyhow::Result<Option<Token>> {
        Ok(self.places().get(name).and_then(|place| place.token.clone()))
    }

    async fn save(&self, name: &str, token: &Token) -> anyhow::Result<()> {
        self.places().entry(name.to_owned()).or_default().token = Some(token.clone());
        Ok(())
    }

    async fn claim(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> anyhow::Result<bool> {
        let mut places = self.places();
        let place = places.entry(name.to_owned()).or_default();
        let free = place.held.as_ref().is_none_or(|(by, end)| by == holder || *end < now);
        if free {
            place.held = Some((holder.to_owned(), until));
        }
        Ok(free)
    }

    async fn release(&self, name: &str, holder: &str) -> anyhow::Result<()> {
        if let Some(place) = self.places().get_mut(name) {
            place.held.take_if(|(by, _)| by == holder);
        }
        Ok(())
    }
}

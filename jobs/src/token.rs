//! Access tokens, shared by all workers of a shop and fetched by one of them.
//!
//! In front stands a cache of the process, with one fetch in flight for each name; behind it a [`TokenShelf`]
//! that all processes share, where the one that fetches holds a claim. A token's life is counted in the shop's
//! time, a claim's in wall time. What a token is for, and how it is fetched, is its [`TokenSource`]'s affair.

mod attempt;
mod refresh_tokens;
mod shelf;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use windlass_engine::{Clock, Timestamp};

use crate::outside::{OutsideError, Secret};

pub use attempt::{Attempt, with_token};
pub use refresh_tokens::{RefreshTokens, TokenOf};
pub use shelf::{MemoryShelf, Token, TokenShelf};

/// Wall time for which a process claims a fetch: longer than any token call may take.
const CLAIM_LENGTH: Duration = Duration::from_secs(30);
/// Wall time between two looks at the shelf while another process fetches.
const SHELF_POLL: Duration = Duration::from_millis(50);
/// Wall time for which a source that gave the refused token again is not asked once more
/// (facts: wechat-mini-program.md 1).
const SAME_AGAIN_PAUSE: Duration = Duration::from_secs(60);

/// What a source hands out.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub value: Secret,
    /// The word in front of the token in `Authorization`, where the source names one.
    pub token_type: String,
    pub expires_in: Duration,
}

/// Where a token comes from.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// The name on the shelf: one for each credential, not for each process.
    fn name(&self) -> &str;

    /// After how much of its life a token is replaced.
    fn refresh_after(&self, life: Duration) -> Duration;

    /// Whether asking before that time brings a new token; else it brings the old one again.
    fn renews_early(&self) -> bool {
        true
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError>;
}

/// What keeping a token alive came to.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Nobody has needed it yet: whoever does will fetch it.
    Unused,
    Good(Token),
    /// By this process or, just then, by another.
    Renewed(Token),
}

/// A source whose tokens are replaced earlier than it asks for, though never within the first half of their life.
struct Early<'a> {
    source: &'a dyn TokenSource,
    ahead: Duration,
}

#[async_trait]
impl TokenSource for Early<'_> {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn refresh_after(&self, life: Duration) -> Duration {
        let usual = self.source.refresh_after(life);
        usual.saturating_sub(self.ahead).max(usual.min(life / 2))
    }

    async fn fetch(&self) -> Result<Fetched, OutsideError> {
        self.source.fetch().await
    }
}

/// The tokens of a process. Clones share one cache.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    shelf: Arc<dyn TokenShelf>,
    clock: Clock,
    holder: String,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held while a token is fetched.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    token: Option<Token>,
    /// Fetches that failed so far, and how the last one did: those who waited for it share its fate.
    failures: u64,
    last_failure: Option<OutsideError>,
    /// A token that was refused and given out again, and when (wall time).
    same_again: Option<(Secret, Timestamp)>,
}

impl Tokens {
    /// `holder` names this process on the shelf: unlike that of any other process.
    pub fn new(shelf: Arc<dyn TokenShelf>, clock: Clock, holder: impl Into<String>) -> Self {
        Self(Arc::new(Inner { shelf, clock, holder: holder.into(), slots: Mutex::default() }))
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// What the source's fetch ended with.
    pub async fn get(&self, source: &dyn TokenSource) -> Result<Token, OutsideError> {
        self.obtain(source, None).await
    }

    /// A token other than `failed`, which the outside has just refused. However many callers report the same
    /// one, it is fetched once. When the source insists on the refused token, that one comes back.
    ///
    /// # Errors
    /// What the source's fetch ended with.
    pub async fn drop_and_refetch(
        &self,
        source: &dyn TokenSource,
        failed: &Secret,
    ) -> Result<Token, OutsideError> {
        self.obtain(source, Some(failed)).await
    }

    /// Sees to it that the token is good for `ahead` more of the shop's time before it has to be replaced, where it
    /// is in use at all: whoever calls the outside meanwhile does not wait for a fetch. Fetches as everybody does:
    /// under the claim, once for all processes, and never when another has just done so.
    ///
    /// # Errors
    /// What the source's fetch ended with; the token at hand stays good for as long as it was.
    pub async fn keep_alive(&self, source: &dyn TokenSource, ahead: Duration) -> Result<Kept, OutsideError> {
        let name = source.name();
        let slot = self.slot(name);
        let shelved = self.0.shelf.load(name).await.inspect_err(|error| shelf_failed(name, error));
        let Some(token) = shelved.ok().flatten().or_else(|| slot.look().token) else {
            return Ok(Kept::Unused);
        };
        let early = Early { source, ahead: if source.renews_early() { ahead } else { Duration::ZERO } };
        if self.usable(&early, Some(token.clone()), None).is_some() {
            return Ok(Kept::Good(token));
        }
        let _turn = slot.gate.lock().await;
        let result = self.through_shelf(&early, None).await;
        slot.note(&result, None, self.0.clock.wall());
        let kept = result?;
        Ok(if kept.value == token.value { Kept::Good(kept) } else { Kept::Renewed(kept) })
    }

    async fn obtain(&self, source: &dyn TokenSource, failed: Option<&Secret>) -> Result<Token, OutsideError> {
        let slot = self.slot(source.name());
        let before = slot.look();
        if let Some(token) = self.usable(source, before.token, failed) {
            return Ok(token);
        }
        let _turn = slot.gate.lock().await;
        let now = slot.look();
        if let Some(token) = self.usable(source, now.token, failed) {
            return Ok(token);
        }
        if now.failures != before.failures
            && let Some(error) = now.last_failure
        {
            return Err(error);
        }
        if let (Some(failed), Some((same, at))) = (failed, &now.same_again)
            && same == failed
            && self.0.clock.wall().since(*at) < SAME_AGAIN_PAUSE
            && let Some(token) = slot.look().token
        {
            return Ok(token);
        }
        let result = self.through_shelf(source, failed).await;
        slot.note(&result, failed, self.0.clock.wall());
        result
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(name.to_owned()).or_default().clone()
    }

    fn usable(
        &self,
        source: &dyn TokenSource,
        token: Option<Token>,
        failed: Option<&Secret>,
    ) -> Option<Token> {
        let token = token.filter(|token| Some(&token.value) != failed)?;
        let life = token.expires_at.since(token.issued_at);
        let refresh_at = token.issued_at + source.refresh_after(life).min(life);
        (self.0.clock.now() < refresh_at).then_some(token)
    }

    /// Takes the token from the shelf, or fetches it under a claim, or waits for the one who does.
    async fn through_shelf(
        &self,
        source: &dyn TokenSource,
        failed: Option<&Secret>,
    ) -> Result<Token, OutsideError> {
        let name = source.name();
        let give_up_at = self.0.clock.wall() + CLAIM_LENGTH;
        loop {
            let Ok(shelved) = self.0.shelf.load(name).await.inspect_err(|error| shelf_failed(name, error))
            else {
                return self.fetch(source).await;
            };
            if let Some(token) = self.usable(source, shelved, failed) {
                return Ok(token);
            }
            let now = self.0.clock.wall();
            let claimed = self.0.shelf.claim(name, &self.0.holder, now, now + CLAIM_LENGTH).await;
            // A shelf that cannot be asked must not stop the shop: then each process fetches for itself.
            if claimed.inspect_err(|error| shelf_failed(name, error)).unwrap_or(true) || now >= give_up_at {
                return self.fetch_claimed(source, failed).await;
            }
            tokio::time::sleep(SHELF_POLL).await;
        }
    }

    async fn fetch_claimed(
        &self,
        source: &dyn TokenSource,
        failed: Option<&Secret>,
    ) -> Result<Token, OutsideError> {
        let name = source.name();
        // Between our look and our claim another may have fetched and released.
        let shelved = self.0.shelf.load(name).await.ok().flatten();
        let result = match self.usable(source, shelved, failed) {
            Some(token) => Ok(token),
            None => self.fetch(source).await,
        };
        if let Err(error) = self.0.shelf.release(name, &self.0.holder).await {
            shelf_failed(name, &error);
        }
        result
    }

    async fn fetch(&self, source: &dyn TokenSource) -> Result<Token, OutsideError> {
        // The life is counted from before the call, so that a slow answer does not lengthen it.
        let issued_at = self.0.clock.now();
        let fetched = source.fetch().await?;
        let expires_at = issued_at + fetched.expires_in;
        let token = Token { value: fetched.value, token_type: fetched.token_type, issued_at, expires_at };
        if let Err(error) = self.0.shelf.save(source.name(), &token).await {
            shelf_failed(source.name(), &error);
        }
        Ok(token)
    }
}

fn shelf_failed(name: &str, error: &anyhow::Error) {
    tracing::warn!(system = name, error = %format!("{error:#}"), "the token shelf does not answer");
}

impl Slot {
    fn look(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, result: &Result<Token, OutsideError>, failed: Option<&Secret>, wall: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(token) => {
                state.same_again =
                    failed.filter(|failed| **failed == token.value).map(|same| (same.clone(), wall));
                state.token = Some(token.clone());
            }
            Err(error) => {
                state.failures += 1;
                state.last_failure = Some(error.clone());
            }
        }
    }
}

/// The early refresh of most systems: ten minutes before the end, and of a short life at its half
/// (facts: ylh.md 2).
pub fn ten_minutes_early(life: Duration) -> Duration {
    life.saturating_sub(Duration::from_secs(600)).max(life / 2)
}

#[cfg(test)]
mod tests;

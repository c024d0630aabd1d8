//! The keys of the ledger as the front door has them at hand: all of them, and never older than a few seconds.
//!
//! Having them all means that a made-up key costs no look into the ledger, however often it is tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use windlass_engine::{Clock, Timestamp};
use windlass_jobs::ledger::api_keys::{self, ApiKey};
use windlass_jobs::ledger::{Ledger, LedgerError};

use super::key::{Hasher, id_of};

/// A revoked key opens the door no longer than this, in wall time.
pub const KEYS_AGE_MAX: Duration = Duration::from_secs(5);
/// Keys are read again when they are so old: before they may not be used any more.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(4);
/// For a key that is not on the ring they are read again sooner: it may be new.
const READ_FOR_UNKNOWN_AFTER: Duration = Duration::from_secs(1);
/// How often it is noted that a key was used.
const NOTE_USE_EVERY: Duration = Duration::from_secs(60);

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Refusal {
    NoKey,
    /// It is unknown, or was revoked.
    BadKey,
    Away(LedgerError),
}

pub struct Keyring {
    ledger: Ledger,
    hasher: Hasher,
    /// Let everybody in while there is no key at all, not even a revoked one.
    open_without_keys: bool,
    clock: Clock,
    keys: Mutex<Option<Arc<Keys>>>,
    reading: Turn<()>,
    /// When each key's use was noted last.
    noted: Mutex<HashMap<String, Timestamp>>,
}

/// What the ledger had at one time.
struct Keys {
    read_at: Timestamp,
    by_id: HashMap<String, Arc<ApiKey>>,
}

impl Keyring {
    pub fn new(ledger: Ledger, hasher: Hasher, open_without_keys: bool, clock: Clock) -> Self {
        Self {
            ledger,
            hasher,
            open_without_keys,
            clock,
            keys: Mutex::new(None),
            reading: Turn::new(()),
            noted: Mutex::new(HashMap::new()),
        }
    }

    /// How many keys open the door, and how many there are with those that were revoked.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub async fn count(&self) -> Result<(usize, usize), LedgerError> {
        let keys = self.keys(READ_AGAIN_AFTER).await?;
        let good = keys.by_id.values().filter(|key| key.revoked_at.is_none()).count();
        Ok((good, keys.by_id.len()))
    }

    /// The key that the text is, or None where nobody needs one.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn let_in(&self, text: Option<&str>) -> Result<Option<Arc<ApiKey>>, Refusal> {
        let keys = self.keys(READ_AGAIN_AFTER).await.map_err(Refusal::Away)?;
        if keys.by_id.is_empty() && self.open_without_keys {
            return Ok(None);
        }
        let text = text.ok_or(Refusal::NoKey)?;
        let id = id_of(text).ok_or(Refusal::BadKey)?;
        let known = match keys.by_id.get(id) {
            Some(known) => known.clone(),
            None => {
                let keys = self.keys(READ_FOR_UNKNOWN_AFTER).await.map_err(Refusal::Away)?;
                keys.by_id.get(id).cloned().ok_or(Refusal::BadKey)?
            }
        };
        if known.revoked_at.is_some() || !self.hasher.matches(text, &known.hash) {
            return Err(Refusal::BadKey);
        }
        self.note_use(&known.id);
        Ok(Some(known))
    }

    /// The keys, read again when they are older than `age`. Those that were read before do for as long as they may
    /// when the ledger does not answer.
    async fn keys(&self, age: Duration) -> Result<Arc<Keys>, LedgerError> {
        if let Some(keys) = self.at_hand(age) {
            return Ok(keys);
        }
        let _turn = self.reading.lock().await;
        // Whoever had the turn before may have read them.
        if let Some(keys) = self.at_hand(age) {
            return Ok(keys);
        }
        // Told from before the look: what changes while it takes place counts as not seen.
        let read_at = self.clock.wall();
        match api_keys::list(&self.ledger).await {
            Ok(rows) => {
                let by_id = rows.into_iter().map(|key| (key.id.clone(), Arc::new(key))).collect();
                let keys = Arc::new(Keys { read_at, by_id });
                *lock(&self.keys) = Some(keys.clone());
                Ok(keys)
            }
            Err(error) => self.at_hand(KEYS_AGE_MAX).ok_or(error),
        }
    }

    fn at_hand(&self, age: Duration) -> Option<Arc<Keys>> {
        lock(&self.keys).clone().filter(|keys| self.clock.wall().since(keys.read_at) < age)
    }

    /// Beside the request: whether the note is written is nothing to the caller.
    fn note_use(&self, id: &str) {
        let now = self.clock.wall();
        let mut noted = lock(&self.noted);
        if noted.get(id).is_some_and(|at| now.since(*at) < NOTE_USE_EVERY) {
            return;
        }
        noted.insert(id.to_owned(), now);
        let (ledger, ids) = (self.ledger.clone(), vec![id.to_owned()]);
        tokio::spawn(async move {
            if let Err(error) = api_keys::used(&ledger, &ids, now).await {
                tracing::debug!(%error, "the use of a key was not noted");
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

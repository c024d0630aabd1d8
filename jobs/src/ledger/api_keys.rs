//! The keys that may call the front door, as rows: their public part, the hash of the secret, what they may do.
//!
//! Nothing here makes a secret, hashes one or decides what a scope allows: that is the front door's.

use std::fmt;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use windlass_engine::Timestamp;

use super::Ledger;
use super::error::LedgerError;

/// Keys that there may be, revoked ones among them.
pub const API_KEYS_MAX: u32 = 10_000;
/// Bytes of an id, a name, a hash, and of all scopes or kinds together.
pub const API_KEY_TEXT_BYTES_MAX: usize = 2_000;
/// Ids named in one statement.
const IDS_AT_ONCE: usize = 100;

/// A key to be.
#[derive(Clone)]
pub struct NewApiKey {
    /// The public part.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Of the secret part, in whatever form the front door compares.
    pub hash: String,
    /// Words without spaces.
    pub scopes: Vec<String>,
    /// Kinds of job that it may touch; None: all.
    pub kinds: Option<Vec<String>>,
}

/// A stored key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: String,
    pub name: String,
    pub hash: String,
    pub scopes: Vec<String>,
    pub kinds: Option<Vec<String>>,
    /// Wall time, as the others.
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// None: it is good.
    pub revoked_at: Option<Timestamp>,
}

/// Stores the key.
///
/// # Errors
/// [`LedgerError::Invalid`] when its id or hash is taken, a text is over [`API_KEY_TEXT_BYTES_MAX`] or has a space
/// where words are wanted, or there are [`API_KEYS_MAX`] keys.
pub async fn create(ledger: &Ledger, key: &NewApiKey) -> Result<(), LedgerError> {
    let (scopes, kinds) = (words(&key.scopes)?, key.kinds.as_deref().map(words).transpose()?);
    let texts = [&key.id, &key.name, &key.hash, &scopes];
    if texts.into_iter().chain(&kinds).any(|text| text.len() > API_KEY_TEXT_BYTES_MAX) {
        return Err(LedgerError::Invalid(format!(
            "a text of an API key has at most {API_KEY_TEXT_BYTES_MAX} bytes"
        )));
    }
    let mut tx = ledger.begin().await?;
    let (stored,): (i64,) = sqlx::query_as("SELECT COUNT(*) AS n FROM api_keys").fetch_one(tx.conn()).await?;
    if stored >= i64::from(API_KEYS_MAX) {
        return Err(LedgerError::Invalid(format!(
            "there are {API_KEYS_MAX} API keys: as many as there may be"
        )));
    }
    let made = sqlx::query(
        "INSERT INTO api_keys (id, name, hash, scopes, kinds, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT DO NOTHING",
    )
    .bind(key.id.clone())
    .bind(key.name.clone())
    .bind(key.hash.clone())
    .bind(scopes)
    .bind(kinds)
    .bind(ledger.clock().wall().micros())
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(LedgerError::Invalid(format!(
            "there is an API key {} already, or one of its secret",
            key.id
        )));
    }
    tx.commit().await
}

/// All keys, the oldest first.
pub async fn list(ledger: &Ledger) -> Result<Vec<ApiKey>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, name, hash, scopes, kinds, created_at, last_used_at, revoked_at FROM api_keys \
         ORDER BY created_at, id LIMIT $1",
    )
    .bind(i64::from(API_KEYS_MAX))
    .fetch_all(ledger.reads())
    .await?;
    rows.iter().map(read).collect()
}

/// By its public part, revoked or not.
pub async fn find(ledger: &Ledger, id: &str) -> Result<Option<ApiKey>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, name, hash, scopes, kinds, created_at, last_used_at, revoked_at FROM api_keys WHERE id = $1",
    )
    .bind(id.to_owned())
    .fetch_optional(ledger.reads())
    .await?;
    row.as_ref().map(read).transpose()
}

/// By the hash of its secret, revoked or not.
pub async fn by_hash(ledger: &Ledger, hash: &str) -> Result<Option<ApiKey>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, name, hash, scopes, kinds, created_at, last_used_at, revoked_at FROM api_keys WHERE hash = $1",
    )
    .bind(hash.to_owned())
    .fetch_optional(ledger.reads())
    .await?;
    row.as_ref().map(read).transpose()
}

/// The key is good no more; its row stays. False: there is none, or it was revoked before.
pub async fn revoke(ledger: &Ledger, id: &str) -> Result<bool, LedgerError> {
    let mut tx = ledger.begin().await?;
    let revoked = sqlx::query("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.to_owned())
        .bind(ledger.clock().wall().micros())
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(revoked.rows_affected() > 0)
}

/// Notes that the keys were used at `at`. For callers that gather: a use an hour ago never hides a newer one.
pub async fn used(ledger: &Ledger, ids: &[String], at: Timestamp) -> Result<(), LedgerError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut tx = ledger.begin().await?;
    for slice in ids.chunks(IDS_AT_ONCE) {
        let list: Vec<String> = (2..slice.len() + 2).map(|n| format!("${n}")).collect();
        // Only numbered parameters are put together here.
        let mut query = sqlx::query(AssertSqlSafe(format!(
            "UPDATE api_keys SET last_used_at = $1 WHERE (last_used_at IS NULL OR last_used_at < $1) AND id IN ({})",
            list.join(", ")
        )))
        .persistent(false)
        .bind(at.micros());
        for id in slice {
            query = query.bind(id.clone());
        }
        query.execute(tx.conn()).await?;
    }
    tx.commit().await
}

fn words(list: &[String]) -> Result<String, LedgerError> {
    match list.iter().find(|word| word.is_empty() || word.contains(char::is_whitespace)) {
        Some(word) => Err(LedgerError::Invalid(format!("{word:?} is no scope or kind: one word each"))),
        None => Ok(list.join(" ")),
    }
}

fn read(row: &AnyRow) -> Result<ApiKey, LedgerError> {
    let instant =
        |column| Ok::<_, LedgerError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    let split = |text: String| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(ApiKey {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        hash: row.try_get("hash")?,
        scopes: split(row.try_get("scopes")?),
        kinds: row.try_get::<Option<String>, _>("kinds")?.map(split),
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        last_used_at: instant("last_used_at")?,
        revoked_at: instant("revoked_at")?,
    })
}

/// Without the hash: a log is no place for it.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, scopes, kinds, revoked_at, .. } = self;
        write!(f, "ApiKey({id}, {name:?}, scopes {scopes:?}, kinds {kinds:?}, revoked {revoked_at:?})")
    }
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, scopes, kinds, .. } = self;
        write!(f, "NewApiKey({id}, {name:?}, scopes {scopes:?}, kinds {kinds:?})")
    }
}

//! Callbacks of the outside systems, stored as they came before anybody judges what they mean.
//!
//! The receiver verifies the signature, stores the raw body with its verdict and enqueues the job that handles it,
//! all in one transaction; then it answers. What a callback means is the business of that job.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::Timestamp;

use crate::ledger::{Ledger, LedgerError, Tx};

/// Bytes of one callback's body; the outside systems send a few thousand.
pub const CALLBACK_BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of the headers that are kept, as JSON.
pub const CALLBACK_HEADERS_BYTES_MAX: usize = 8 * 1024;
/// Ids on one page of [`callbacks_waiting`].
pub const CALLBACKS_WAITING_MAX: u32 = 500;

/// What the receiver found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackVerdict {
    /// Signed by whom it says it is from.
    Accepted,
    /// Kept for people to look at; no job handles it.
    Refused,
}

impl CallbackVerdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewCallback {
    /// [`NewCallback::content_id`] unless the sender names its callbacks.
    pub id: String,
    /// Who sent it, in our words: `ylh`, `wechat_pay.payment`.
    pub source: String,
    /// JSON of the headers that the signature is made of, nothing else.
    pub headers: serde_json::Value,
    pub body: Vec<u8>,
    pub received_at: Timestamp,
    pub verdict: CallbackVerdict,
    pub reason: Option<String>,
}

impl NewCallback {
    /// An id that the same content from the same source always has.
    pub fn content_id(source: &str, body: &[u8]) -> String {
        let mut content = Vec::with_capacity(source.len() + 1 + body.len());
        content.extend_from_slice(source.as_bytes());
        content.push(0);
        content.extend_from_slice(body);
        digest(&SHA256, &content).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A stored callback.
#[derive(Clone, Debug)]
pub struct Callback {
    pub id: String,
    pub source: String,
    pub headers: serde_json::Value,
    pub body: Vec<u8>,
    /// Of the first of its kind.
    pub received_at: Timestamp,
    pub verdict: CallbackVerdict,
    pub reason: Option<String>,
    /// How often the same content came.
    pub times: i64,
    pub handled_at: Option<Timestamp>,
}

impl Tx {
    /// Stores the callback. False: the same one is there already and was only counted.
    ///
    /// A refused callback does not stand in the way of a good one of the same content: the verdict becomes
    /// accepted and the answer is true.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] past [`CALLBACK_BODY_BYTES_MAX`] or [`CALLBACK_HEADERS_BYTES_MAX`].
    pub async fn store_callback(&mut self, callback: &NewCallback) -> Result<bool, LedgerError> {
        let headers = callback.headers.to_string();
        if callback.body.len() > CALLBACK_BODY_BYTES_MAX || headers.len() > CALLBACK_HEADERS_BYTES_MAX {
            return Err(LedgerError::Invalid(format!(
                "a callback has at most {CALLBACK_BODY_BYTES_MAX} bytes, and {CALLBACK_HEADERS_BYTES_MAX} of headers"
            )));
        }
        let (form, body) = encode(&callback.body);
        let stored = sqlx::query(
            "INSERT INTO callbacks (id, source, headers, body, body_form, received_at, verdict, reason) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING",
        )
        .bind(callback.id.clone())
        .bind(callback.source.clone())
        .bind(headers.clone())
        .bind(body)
        .bind(form)
        .bind(callback.received_at.micros())
        .bind(callback.verdict.as_str())
        .bind(callback.reason.clone())
        .execute(self.conn())
        .await?;
        if stored.rows_affected() > 0 {
            return Ok(true);
        }
        self.count_again(callback, headers).await
    }

    async fn count_again(&mut self, callback: &NewCallback, headers: String) -> Result<bool, LedgerError> {
        if callback.verdict == CallbackVerdict::Accepted {
            let accepted = sqlx::query(
                "UPDATE callbacks SET verdict = 'accepted', reason = $2, headers = $3, times = times + 1 \
                 WHERE id = $1 AND verdict = 'refused'",
            )
            .bind(callback.id.clone())
            .bind(callback.reason.clone())
            .bind(headers)
            .execute(self.conn())
            .await?;
            if accepted.rows_affected() > 0 {
                return Ok(true);
            }
        }
        sqlx::query("UPDATE callbacks SET times = times + 1 WHERE id = $1")
            .bind(callback.id.clone())
            .execute(self.conn())
            .await?;
        Ok(false)
    }

    /// The callback has been acted on. False: it was before, or there is none.
    pub async fn callback_handled(&mut self, id: &str) -> Result<bool, LedgerError> {
        let now = self.ledger().clock().now().micros();
        let done = sqlx::query("UPDATE callbacks SET handled_at = $2 WHERE id = $1 AND handled_at IS NULL")
            .bind(id.to_owned())
            .bind(now)
            .execute(self.conn())
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

pub async fn callback(ledger: &Ledger, id: &str) -> Result<Option<Callback>, LedgerError> {
    let row = sqlx::query(
        "SELECT id, source, headers, body, body_form, received_at, verdict, reason, times, handled_at \
         FROM callbacks WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(ledger.reads())
    .await?;
    row.as_ref().map(read).transpose()
}

/// (id, source) of accepted callbacks that came before `before` and were not acted on, the oldest first.
pub async fn callbacks_waiting(
    ledger: &Ledger,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(String, String)>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, source FROM callbacks WHERE handled_at IS NULL AND verdict = 'accepted' \
         AND received_at < $1 ORDER BY received_at, id LIMIT $2",
    )
    .bind(before.micros())
    .bind(i64::from(limit.min(CALLBACKS_WAITING_MAX)))
    .fetch_all(ledger.reads())
    .await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("source")?))).collect()
}

/// Text where it is text that both engines store (PostgreSQL takes no NUL), base64 where it is not.
fn encode(body: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains('\0') => ("text", text.to_owned()),
        _ => ("base64", BASE64.encode(body)),
    }
}

fn read(row: &AnyRow) -> Result<Callback, LedgerError> {
    let wrong = |what: &str| LedgerError::Unreadable(format!("{what} of a callback"));
    let (headers, body): (String, String) = (row.try_get("headers")?, row.try_get("body")?);
    let (form, verdict): (String, String) = (row.try_get("body_form")?, row.try_get("verdict")?);
    let handled_at: Option<i64> = row.try_get("handled_at")?;
    Ok(Callback {
        id: row.try_get("id")?,
        source: row.try_get("source")?,
        headers: serde_json::from_str(&headers).map_err(|_| wrong("the headers"))?,
        body: match form.as_str() {
            "text" => body.into_bytes(),
            _ => BASE64.decode(body).map_err(|_| wrong("the body"))?,
        },
        received_at: Timestamp::from_micros(row.try_get("received_at")?),
        verdict: match verdict.as_str() {
            "accepted" => CallbackVerdict::Accepted,
            _ => CallbackVerdict::Refused,
        },
        reason: row.try_get("reason")?,
        times: row.try_get("times")?,
        handled_at: handled_at.map(Timestamp::from_micros),
    })
}

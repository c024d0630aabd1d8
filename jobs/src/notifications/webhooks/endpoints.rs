//! Endpoints as operators act on them: made, looked at, given a new secret, switched off and on, tried.

use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::json;

use super::address::judge;
use super::deliveries::drop_waiting;
use super::endpoint::{Endpoint, endpoint_columns};
use super::event::{EventType, tell_those};
use super::signature::SigningSecret;
use crate::ledger::{LedgerError, Tx};
use crate::shop::Shop;

/// Endpoints that there may be.
pub const ENDPOINTS_MAX: i64 = 50;
const DESCRIPTION_CHARS_MAX: usize = 200;

/// An endpoint to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    pub url: String,
    #[serde(default)]
    pub description: String,
    /// Types of events, or `order.*` for all of a sort; empty: every type.
    #[serde(default)]
    pub types: Vec<String>,
}

/// One thing that is wrong with a [`NewEndpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEndpoint {
    /// Of the field, RFC 6901.
    pub pointer: String,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the endpoint does not hold together")]
    Bad(Vec<BadEndpoint>),
    #[error("there is no endpoint {0}")]
    Missing(String),
    #[error("there are {ENDPOINTS_MAX} endpoints: as many as there may be")]
    TooMany,
    /// What cannot be done to the endpoint as it is, and what to do instead.
    #[error("{0}")]
    NotNow(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error.into())
    }
}

impl NewEndpoint {
    fn faults(&self, private_allowed: bool) -> Vec<BadEndpoint> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, what: String| {
            faults.push(BadEndpoint { pointer: pointer.to_owned(), what });
        };
        if let Err(why) = judge(&self.url, private_allowed) {
            fault("/url", why);
        }
        if self.description.chars().count() > DESCRIPTION_CHARS_MAX
            || self.description.contains(char::is_control)
        {
            fault(
                "/description",
                format!("has at most {DESCRIPTION_CHARS_MAX} characters, none of them control"),
            );
        }
        for (nth, word) in self.types.iter().enumerate() {
            if !EventType::is_known(word) {
                let known: Vec<_> = EventType::ALL.iter().map(|known| known.as_str()).collect();
                fault(&format!("/types/{nth}"), format!("must be one of {}, or order.*", known.join(", ")));
            }
        }
        faults
    }
}

/// Makes an endpoint; the secret is shown this once.
///
/// # Errors
/// [`WebhookError::Bad`] with everything that is wrong; [`WebhookError::TooMany`] at [`ENDPOINTS_MAX`].
pub async fn create(
    shop: &Shop,
    new: &NewEndpoint,
    who: &str,
) -> Result<(Endpoint, SigningSecret), WebhookError> {
    let faults = new.faults(shop.notifier.post.settings().private_addresses);
    if !faults.is_empty() {
        return Err(WebhookError::Bad(faults));
    }
    let (id, secret) = (new_id()?, SigningSecret::new()?);
    let sealed = shop.notifier.seal.close(&id, &secret)?;
    let mut types: Vec<&str> = Vec::new();
    for word in &new.types {
        if !types.contains(&word.as_str()) {
            types.push(word);
        }
    }
    let now = shop.clock.now().micros();
    let mut tx = shop.ledger.begin().await?;
    let (count,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) AS n FROM webhook_endpoints").fetch_one(tx.conn()).await?;
    if count >= ENDPOINTS_MAX {
        return Err(WebhookError::TooMany);
    }
    sqlx::query(
        "INSERT INTO webhook_endpoints (id, url, description, types, state, secret, created_at, changed_at) \
         VALUES ($1, $2, $3, $4, 'enabled', $5, $6, $6)",
    )
    .bind(id.clone())
    .bind(new.url.clone())
    .bind(new.description.clone())
    .bind(types.join(" "))
    .bind(sealed)
    .bind(now)
    .execute(tx.conn())
    .await?;
    tx.audit(who, "webhook.create", &id, &new.url).await?;
    let made = there(&mut tx, &id).await?;
    tx.commit().await?;
    Ok((made, secret))
}

/// Every endpoint, the oldest first.
///
/// # Errors
/// When the ledger fails.
pub async fn endpoints(shop: &Shop) -> Result<Vec<Endpoint>, LedgerError> {
    let sql =
        concat!("SELECT ", endpoint_columns!(), " FROM webhook_endpoints ORDER BY created_at, id LIMIT $1");
    Ok(sqlx::query_as(sql).bind(ENDPOINTS_MAX).fetch_all(shop.ledger.reads()).await?)
}

/// # Errors
/// [`WebhookError::Missing`] when there is none of that id.
pub async fn endpoint(shop: &Shop, id: &str) -> Result<Endpoint, WebhookError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    Endpoint::read(&mut conn, id).await?.ok_or_else(|| WebhookError::Missing(id.to_owned()))
}

/// Takes the endpoint away; what waits for it is not told. What it was told stays in the log.
///
/// # Errors
/// [`WebhookError::Missing`] when there is none of that id.
pub async fn delete(shop: &Shop, id: &str, who: &str) -> Result<(), WebhookError> {
    let mut tx = shop.ledger.begin().await?;
    let endpoint = there(&mut tx, id).await?;
    drop_waiting(&mut tx, id, "the endpoint was deleted").await?;
    sqlx::query("DELETE FROM webhook_endpoints WHERE id = $1").bind(id.to_owned()).execute(tx.conn()).await?;
    tx.audit(who, "webhook.delete", id, &endpoint.url).await?;
    Ok(tx.commit().await?)
}

/// The endpoint is told at another address from now on, also of what waits for it. Its secret stays, and one that is
/// disabled stays so; its failures were those of the address before, and are forgotten.
///
/// # Errors
/// [`WebhookError::Bad`] for an address that may be none; [`WebhookError::Missing`] when there is none of that id.
pub async fn relocate(shop: &Shop, id: &str, url: &str, who: &str) -> Result<Endpoint, WebhookError> {
    if let Err(what) = judge(url, shop.notifier.post.settings().private_addresses) {
        return Err(WebhookError::Bad(vec![BadEndpoint { pointer: "/url".to_owned(), what }]));
    }
    let mut tx = shop.ledger.begin().await?;
    there(&mut tx, id).await?;
    sqlx::query(
        "UPDATE webhook_endpoints SET url = $2, failures = 0, failing_since_at = NULL, rests_until_at = NULL, \
         changed_at = $3 WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(url.to_owned())
    .bind(shop.clock.now().micros())
    .execute(tx.conn())
    .await?;
    tx.audit(who, "webhook.relocate", id, url).await?;
    let endpoint = there(&mut tx, id).await?;
    tx.commit().await?;
    Ok(endpoint)
}

/// Gives the endpoint a new secret, shown this once. The one before signs too for
/// [`crate::Settings::webhook_secret_overlap_s`].
///
/// # Errors
/// [`WebhookError::Missing`] when there is none of that id.
pub async fn rotate(shop: &Shop, id: &str, who: &str) -> Result<(Endpoint, SigningSecret), WebhookError> {
    let secret = SigningSecret::new()?;
    let sealed = shop.notifier.seal.close(id, &secret)?;
    let now = shop.clock.now();
    let overlap = std::time::Duration::from_secs(shop.settings.webhook_secret_overlap_s);
    let mut tx = shop.ledger.begin().await?;
    there(&mut tx, id).await?;
    sqlx::query(
        "UPDATE webhook_endpoints SET old_secret = secret, old_secret_ends_at = $2, secret = $3, changed_at = $4 \
         WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind((now + overlap).micros())
    .bind(sealed)
    .bind(now.micros())
    .execute(tx.conn())
    .await?;
    tx.audit(who, "webhook.rotate", id, "").await?;
    let endpoint = there(&mut tx, id).await?;
    tx.commit().await?;
    Ok((endpoint, secret))
}

/// The endpoint is told again of what happens from now on, with a clean slate. What it missed is asked for with
/// [`super::redeliver`].
///
/// # Errors
/// [`WebhookError::Missing`] when there is none of that id.
pub async fn enable(shop: &Shop, id: &str, who: &str) -> Result<Endpoint, WebhookError> {
    let mut tx = shop.ledger.begin().await?;
    there(&mut tx, id).await?;
    sqlx::query(
        "UPDATE webhook_endpoints SET state = 'enabled', reason = '', failures = 0, failing_since_at = NULL, \
         rests_until_at = NULL, changed_at = $2 WHERE id = $1",
    )
    .bind(id.to_owned())
    .bind(shop.clock.now().micros())
    .execute(tx.conn())
    .await?;
    tx.audit(who, "webhook.enable", id, "").await?;
    let endpoint = there(&mut tx, id).await?;
    tx.commit().await?;
    Ok(endpoint)
}

/// The endpoint is told of nothing more, nor of what waits for it.
///
/// # Errors
/// [`WebhookError::Missing`] when there is none of that id.
pub async fn disable(shop: &Shop, id: &str, who: &str, why: &str) -> Result<Endpoint, WebhookError> {
    let mut tx = shop.ledger.begin().await?;
    there(&mut tx, id).await?;
    switch_off(&mut tx, id, why).await?;
    tx.audit(who, "webhook.disable", id, why).await?;
    let endpoint = there(&mut tx, id).await?;
    tx.commit().await?;
    Ok(endpoint)
}

/// Sends the endpoint a message of the type `webhook.test`, whatever it asked for. Answers the message's id.
///
/// # Errors
/// [`WebhookError::NotNow`] when it is disabled; [`WebhookError::Missing`] when there is none of that id.
pub async fn send_test(shop: &Shop, id: &str, who: &str) -> Result<String, WebhookError> {
    let mut tx = shop.ledger.begin().await?;
    let endpoint = there(&mut tx, id).await?;
    if endpoint.state != super::EndpointState::Enabled {
        return Err(WebhookError::NotNow(format!("the endpoint {id} is disabled: enable it first")));
    }
    let key = format!("{id}:{}", new_id()?);
    let data = json!({ "endpoint": id, "text": "This is a test." });
    let told = tell_those(&mut tx, &[id.to_owned()], EventType::WebhookTest, &key, "", data).await?;
    let message = told.ok_or_else(|| anyhow::anyhow!("a test has the id of another"))?;
    tx.audit(who, "webhook.test", id, &message).await?;
    tx.commit().await?;
    Ok(message)
}

/// Within a transaction; whatever waits for the endpoint is not told.
pub(super) async fn switch_off(tx: &mut Tx, id: &str, why: &str) -> Result<bool, LedgerError> {
    let now = tx.ledger().clock().now().micros();
    let switched = sqlx::query(
        "UPDATE webhook_endpoints SET state = 'disabled', reason = $2, changed_at = $3 \
         WHERE id = $1 AND state = 'enabled'",
    )
    .bind(id.to_owned())
    .bind(why.to_owned())
    .bind(now)
    .execute(tx.conn())
    .await?;
    drop_waiting(tx, id, "the endpoint is disabled").await?;
    Ok(switched.rows_affected() > 0)
}

async fn there(tx: &mut Tx, id: &str) -> Result<Endpoint, WebhookError> {
    Endpoint::read(tx.conn(), id).await?.ok_or_else(|| WebhookError::Missing(id.to_owned()))
}

fn new_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the machine gives no randomness for an id"))?;
    Ok(format!("we_{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

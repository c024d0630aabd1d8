//! Delivers one message to one endpoint, as often as it takes and as long as [`crate::Settings::webhook_retries_s`]
//! lasts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, Outcome};

use super::deliveries::{Delivery, DeliveryState};
use super::endpoint::{Endpoint, EndpointState, rest};
use super::endpoints::switch_off;
use super::post::{Letter, Receipt};
use crate::effect::{Asked, Effect, EffectError, EffectKind, Ended, perform};
use crate::findings::{FindingType, NewFinding};
use crate::ledger::{LedgerError, Tx};
use crate::outside::{Fault, OutsideError};
use crate::shop::Shop;

/// Wall time until a delivery looks again whether its endpoint has room.
const ROOM_WAIT: Duration = Duration::from_secs(1);
/// Shop's time until a delivery looks again whether its secret can be read.
const SEALED_WAIT: Duration = Duration::from_secs(600);
/// What the wait of a delivery is lengthened by at most, so that those that failed together do not come together.
const JITTER_MAX: f64 = 0.1;

/// Tells one endpoint of one event.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliverWebhook {
    #[schemars(length(min = 1, max = 64))]
    pub endpoint: String,
    /// The webhook-id.
    #[schemars(length(min = 1, max = 64))]
    pub message: String,
}

/// A try of a delivery that is over.
struct Tried<'a> {
    delivery: &'a Delivery,
    endpoint: &'a Endpoint,
    took: Duration,
}

impl Job for DeliverWebhook {
    const KIND: &'static str = "deliver_webhook";
    const QUEUE: &'static str = "webhook";
    /// The delivery counts its own tries: this only bounds a job that never gets as far.
    const ATTEMPTS_MAX: u32 = 1_000;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let found = Delivery::read(&mut conn, &self.endpoint, &self.message).await?;
        let endpoint = Endpoint::read(&mut conn, &self.endpoint).await?;
        drop(conn);
        let Some((delivery, body)) = found else { return Ok(skipped("there is no such delivery")) };
        let endpoint = endpoint.filter(|endpoint| endpoint.state == EndpointState::Enabled);
        let Some(endpoint) = endpoint.filter(|_| delivery.state == DeliveryState::Queued) else {
            forget(shop, job, &delivery).await?;
            return Ok(skipped("nobody waits for it any more"));
        };
        let now = shop.clock.now();
        if let Some(left) = endpoint.rests_until_at.map(|until| until - now.micros()).filter(|left| *left > 0)
        {
            let left = Duration::from_micros(left.unsigned_abs());
            return Err(JobError::snooze(jittered(left), "the endpoint is left in peace after it failed"));
        }
        let Some(secrets) = endpoint.secrets(&shop.notifier.seal, now) else {
            tracing::error!(
                endpoint = endpoint.id,
                "the secret was sealed under another SECRET_KEY: rotate it"
            );
            return Err(JobError::snooze(
                SEALED_WAIT,
                "the secret cannot be read: rotate the endpoint's secret",
            ));
        };
        let Some(place) = shop.notifier.post.enter(&endpoint.id) else {
            let wait = ROOM_WAIT.mul_f64(shop.clock.speed());
            return Err(JobError::snooze(jittered(wait), "the endpoint has enough requests under way"));
        };
        let letter = Letter { url: &endpoint.url, id: &self.message, body: &body, secrets: &secrets };
        let of = delivery.effect_of();
        let effect = Effect { kind: EffectKind::WebhookPost, of: &of, about: &delivery.order_no };
        let began = shop.clock.wall();
        let ended: Result<Ended<Receipt>, _> = perform(
            &shop.ledger,
            effect,
            || async { Ok(Asked::CannotTell) },
            || shop.notifier.post.send(&letter),
        )
        .await;
        drop(place);
        let took = shop.clock.wall().since(began);
        let tried = Tried { delivery: &delivery, endpoint: &endpoint, took };
        match ended {
            Ok(Ended::Done(receipt)) => tried.was_taken(shop, job, &receipt).await,
            Ok(Ended::Refused { code, reason }) => tried.is_gone(shop, job, &code, &reason).await,
            Err(EffectError::DidNotHappen(error) | EffectError::InDoubt(error)) => {
                let after = match error.fault {
                    Fault::Throttled { retry_after } => retry_after,
                    _ => None,
                };
                tried.was_not_taken(shop, job, &words(&error), status(&error), after).await
            }
            Err(EffectError::StillInDoubt) | Ok(Ended::InDoubt { .. }) => {
                tried.was_not_taken(shop, job, "no answer in time", None, None).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Tried<'_> {
    async fn was_taken(&self, shop: &Shop, job: &JobContext, receipt: &Receipt) -> Result<Outcome, JobError> {
        let mut tx = begin(shop, job).await?;
        let status = Some(i64::from(receipt.status));
        self.note(&mut tx, "", status).await?;
        self.settle(&mut tx, DeliveryState::Delivered, "").await?;
        sqlx::query(
            "UPDATE webhook_endpoints SET failures = 0, failing_since_at = NULL, rests_until_at = NULL, \
             delivered_at = $2 WHERE id = $1",
        )
        .bind(self.endpoint.id.clone())
        .bind(shop.clock.now().micros())
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        count("delivered");
        Ok(Outcome::result(json!({ "status": receipt.status })))
    }

    /// The receiver says "never again" (410): it is not told of anything more.
    async fn is_gone(
        &self,
        shop: &Shop,
        job: &JobContext,
        code: &str,
        reason: &str,
    ) -> Result<Outcome, JobError> {
        let mut tx = begin(shop, job).await?;
        self.note(&mut tx, reason, code.parse().ok()).await?;
        self.settle(&mut tx, DeliveryState::Failed, reason).await?;
        self.disable(&mut tx, "it answered 410 Gone").await?;
        tx.commit().await?;
        count("gone");
        Ok(Outcome::result(json!({ "gone": reason })))
    }

    async fn was_not_taken(
        &self,
        shop: &Shop,
        job: &JobContext,
        why: &str,
        status: Option<i64>,
        after: Option<Duration>,
    ) -> Result<Outcome, JobError> {
        let now = shop.clock.now();
        let mut tx = begin(shop, job).await?;
        self.note(&mut tx, why, status).await?;
        let failing_since = self.endpoint_failed(&mut tx).await?;
        let failing_s = now.micros().saturating_sub(failing_since) / 1_000_000;
        if u64::try_from(failing_s).unwrap_or_default() >= shop.settings.webhook_disable_after_s {
            self.disable(&mut tx, &format!("nothing was taken for {} hours: {why}", failing_s / 3_600))
                .await?;
        }
        let nth = usize::try_from(self.delivery.tries).unwrap_or(usize::MAX);
        let Some(wait) = shop.settings.webhook_retries_s.get(nth) else {
            self.settle(&mut tx, DeliveryState::Failed, why).await?;
            settle_effect(&mut tx, self.delivery, "gave_up", why).await?;
            tx.commit().await?;
            count("failed");
            return Ok(Outcome::result(json!({ "failed": why })));
        };
        let wait = jittered(Duration::from_secs(*wait).max(after.unwrap_or_default()));
        sqlx::query("UPDATE webhook_deliveries SET next_at = $3 WHERE endpoint = $1 AND message = $2 AND state = 'queued'")
            .bind(self.delivery.endpoint.clone())
            .bind(self.delivery.message.clone())
            .bind((now + wait).micros())
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        count("not_taken");
        Err(JobError::retry_after(wait, anyhow::anyhow!("{why}")))
    }

    /// Writes the try down.
    async fn note(&self, tx: &mut Tx, note: &str, status: Option<i64>) -> Result<(), LedgerError> {
        let now = tx.ledger().clock().now().micros();
        let Delivery { endpoint, message, round, tries, .. } = self.delivery;
        sqlx::query(
            "INSERT INTO webhook_tries (endpoint, message, round, nth, at, took_ms, status, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (endpoint, message, round, nth) DO NOTHING",
        )
        .bind(endpoint.clone())
        .bind(message.clone())
        .bind(*round)
        .bind(tries + 1)
        .bind(now)
        .bind(i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX))
        .bind(status)
        .bind(note.to_owned())
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "UPDATE webhook_deliveries SET tries = $3, status = $4, note = $5, tried_at = $6 \
             WHERE endpoint = $1 AND message = $2 AND round = $7",
        )
        .bind(endpoint.clone())
        .bind(message.clone())
        .bind(tries + 1)
        .bind(status)
        .bind(note.to_owned())
        .bind(now)
        .bind(*round)
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    async fn settle(&self, tx: &mut Tx, state: DeliveryState, note: &str) -> Result<(), LedgerError> {
        sqlx::query(
            "UPDATE webhook_deliveries SET state = $3, note = $4, settled_at = $5, next_at = NULL \
             WHERE endpoint = $1 AND message = $2 AND round = $6 AND state IN ('queued', 'dropped')",
        )
        .bind(self.delivery.endpoint.clone())
        .bind(self.delivery.message.clone())
        .bind(state.as_str())
        .bind(note.to_owned())
        .bind(tx.ledger().clock().now().micros())
        .bind(self.delivery.round)
        .execute(tx.conn())
        .await?;
        Ok(())
    }

    /// Counts a failure of the endpoint, and lets it rest when there were too many. Answers since when it fails.
    async fn endpoint_failed(&self, tx: &mut Tx) -> Result<i64, LedgerError> {
        let now = tx.ledger().clock().now();
        let counted: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE webhook_endpoints SET failures = failures + 1, failing_since_at = COALESCE(failing_since_at, $2) \
             WHERE id = $1 RETURNING failures, failing_since_at",
        )
        .bind(self.endpoint.id.clone())
        .bind(now.micros())
        .fetch_optional(tx.conn())
        .await?;
        let Some((failures, since)) = counted else { return Ok(now.micros()) };
        if let Some(rest) = rest(failures) {
            sqlx::query("UPDATE webhook_endpoints SET rests_until_at = $2 WHERE id = $1")
                .bind(self.endpoint.id.clone())
                .bind((now + rest).micros())
                .execute(tx.conn())
                .await?;
        }
        Ok(since)
    }

    async fn disable(&self, tx: &mut Tx, why: &str) -> Result<(), LedgerError> {
        if switch_off(tx, &self.endpoint.id, why).await? {
            metrics::counter!("windlass_webhook_endpoints_disabled_total").increment(1);
            tracing::warn!(endpoint = self.endpoint.id, why, "a webhook endpoint was disabled");
            tx.audit("windlass", "webhook.disable", &self.endpoint.id, why).await?;
            let text = format!(
                "The webhook endpoint {} is disabled: {why}. Look at its receiver, enable it, and ask for what it missed.",
                self.endpoint.url
            );
            // Each time that it is disabled is a case of its own.
            let key = format!("{}:{}", self.endpoint.id, tx.ledger().clock().now().secs());
            tx.raise(&NewFinding {
                kind: FindingType::WebhookDisabled,
                key: &key,
                order_no: None,
                amount_fen: None,
                text: &text,
                evidence: json!({ "endpoint": self.endpoint.id, "message": self.delivery.message }),
            })
            .await?;
        }
        Ok(())
    }
}

/// An effect of which nobody wants to know any more does not stay in doubt.
async fn forget(shop: &Shop, job: &JobContext, delivery: &Delivery) -> Result<(), JobError> {
    if delivery.state == DeliveryState::Delivered {
        return Ok(());
    }
    let mut tx = begin(shop, job).await?;
    settle_effect(&mut tx, delivery, "dropped", "the endpoint is not told any more").await?;
    Ok(tx.commit().await?)
}

async fn settle_effect(tx: &mut Tx, delivery: &Delivery, code: &str, why: &str) -> Result<(), LedgerError> {
    let of = delivery.effect_of();
    let effect = Effect { kind: EffectKind::WebhookPost, of: &of, about: &delivery.order_no };
    tx.effect_did_not_happen(effect, code, why).await.map(drop)
}

async fn begin(shop: &Shop, job: &JobContext) -> Result<Tx, LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    Ok(tx)
}

fn skipped(why: &str) -> Outcome {
    Outcome::result(json!({ "skipped": why }))
}

fn count(outcome: &'static str) {
    metrics::counter!("windlass_webhook_tries_total", "outcome" => outcome).increment(1);
}

fn words(error: &OutsideError) -> String {
    format!("{}: {}", error.fault.name(), error.detail)
}

/// The status that the endpoint answered with, if it did.
fn status(error: &OutsideError) -> Option<i64> {
    let answered = matches!(error.fault, Fault::Throttled { .. });
    error.detail.strip_prefix("HTTP ").filter(|_| answered)?.get(..3)?.parse().ok()
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + fastrand::f64() * JITTER_MAX)
}

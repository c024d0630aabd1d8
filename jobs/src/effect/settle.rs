//! A person settles an effect in doubt: somebody looked at the outside and knows what became of it.
//!
//! Deliberately not here: what follows from it. The job that wants the effect finds the recorded end at its next
//! attempt, and the sweep brings back a job that died.

use serde_json::{Value, json};

use super::record::{Settle, settle_in};
use super::{Effect, EffectKind, Repeat};
use crate::by_hand::{ByHand, NotDone};
use crate::ledger::{Ledger, LedgerError, MoneyLine, Tx};

/// What somebody found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectOutcome {
    /// The outside has it.
    Done,
    /// The outside will not do it: only another key can try again.
    Refused,
    /// The outside never heard of it: it is told again, under the same key.
    NeverHappened,
}

impl EffectOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NeverHappened => "never_happened",
        }
    }
}

/// Settles the effect of that key.
///
/// # Errors
/// [`NotDone`] when there is none, its end is recorded, or a call may be under way.
pub async fn settle_effect(
    ledger: &Ledger,
    key: &str,
    outcome: EffectOutcome,
    by: ByHand<'_>,
) -> Result<(), NotDone> {
    let under_way = || NotDone::NotOpen(format!("a call for {key} is under way: look again in a minute"));
    // Held to the end: nobody in this process begins a call meanwhile.
    let _telling = ledger.in_flight().enter(key).ok_or_else(under_way)?;
    let mut tx = ledger.begin().await?;
    let row: Option<(String, String, String, i64, Option<i64>)> =
        sqlx::query_as("SELECT kind, about, state, tells, told_at FROM effects WHERE key = $1")
            .bind(key)
            .fetch_optional(tx.conn())
            .await?;
    let Some((kind, about, state, tells, told_at)) = row else {
        return Err(NotDone::NoSuch(format!("there is no effect {key}")));
    };
    let (Some(kind), Some(of)) = (EffectKind::parse(&kind), key.strip_prefix(&format!("{kind}:"))) else {
        return Err(LedgerError::Unreadable(format!("the effect {key} is of the kind {kind:?}")).into());
    };
    let abandoned_before = (ledger.clock().wall() - ledger.in_flight().tell_time_max()).micros();
    match (state.as_str(), told_at) {
        ("in_doubt", _) => {}
        ("intended", Some(told_at)) if told_at < abandoned_before => {}
        ("intended", Some(_)) => return Err(under_way()),
        (state, _) => {
            return Err(NotDone::NotOpen(format!(
                "the effect {key} is {state}: nobody is in doubt about it"
            )));
        }
    }
    let effect = Effect { kind, of, about: &about };
    let how = format!("{} by {}: {}", outcome.as_str(), by.who, by.reason());
    match outcome {
        EffectOutcome::Done => {
            let answer = answer_by_hand(kind).to_string();
            settle_in(&mut tx, effect, Settle::Done { answer }, &how).await?;
        }
        EffectOutcome::Refused => {
            let (code, reason) = ("by_hand".to_owned(), by.reason().to_owned());
            settle_in(&mut tx, effect, Settle::Refused { code, reason }, &how).await?;
        }
        EffectOutcome::NeverHappened => forget(&mut tx, effect, tells, &how).await?,
    }
    if kind.moves_money() {
        let line = MoneyLine::new("effect.settled_by_hand", &about).effect(key);
        tx.money(line.how(outcome.as_str()).by(by.who));
    }
    if kind.repeat() == Repeat::Never {
        settle_message(&mut tx, effect, outcome).await?;
    }
    by.note(&mut tx, "effect.settle", key, outcome.as_str()).await?;
    tx.commit().await?;
    Ok(())
}

/// The call might as well never have been made.
async fn forget(tx: &mut Tx, effect: Effect<'_>, tells: i64, how: &str) -> Result<(), NotDone> {
    let forgotten = sqlx::query(
        "UPDATE effects SET state = 'intended', told_at = NULL, doubted_at = NULL, last_error = $3 \
         WHERE key = $1 AND tells = $2 AND settled_at IS NULL",
    )
    .bind(effect.key())
    .bind(tells)
    .bind(how)
    .execute(tx.conn())
    .await?;
    if forgotten.rows_affected() == 0 {
        return Err(NotDone::NotOpen(format!("the effect {} moved meanwhile: look again", effect.key())));
    }
    if !effect.about.is_empty() {
        let data = json!({ "effect": effect.kind.name(), "key": effect.key(), "state": "intended" });
        tx.event(effect.about, "effect", &format!("{} {how}", effect.kind.name()), &data).await?;
    }
    Ok(())
}

/// What the job of the effect would have recorded, as far as a person can know it.
fn answer_by_hand(kind: EffectKind) -> Value {
    match kind {
        EffectKind::YlhCreate => json!({ "haier_no": null, "duplicate": false }),
        EffectKind::YlhCancel => json!(false),
        EffectKind::WechatClose => json!(true),
        EffectKind::WechatRefund => json!({ "refund_id": "", "status": "PROCESSING" }),
        EffectKind::UploadShipping => json!("Ours"),
        EffectKind::SubscribeSend
        | EffectKind::MailSend
        | EffectKind::ConfirmReceive
        | EffectKind::WebhookPost => Value::Null,
    }
}

/// A message whose effect is settled is not in doubt either; one that never left is sent by the next sweep.
async fn settle_message(tx: &mut Tx, effect: Effect<'_>, outcome: EffectOutcome) -> Result<(), LedgerError> {
    let state = match outcome {
        EffectOutcome::Done => "sent",
        EffectOutcome::Refused => "failed",
        EffectOutcome::NeverHappened => "queued",
    };
    sqlx::query(
        "UPDATE notifications SET state = $1, touched_at = 0 WHERE order_no = $2 AND state = 'in_doubt' \
         AND order_no || ':' || template || ':' || event || ':' || channel = $3",
    )
    .bind(state)
    .bind(effect.about)
    .bind(effect.of)
    .execute(tx.conn())
    .await?;
    Ok(())
}

//! The rows of `effects`. Every change is a compare-and-set in a transaction of its own, and an end is written into
//! the order's timeline with it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;
use windlass_engine::Timestamp;

use super::{Effect, EffectError, Ended};
use crate::ledger::{Ledger, LedgerError, MoneyLine, Tx};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Written down; a call may be under way, or its caller may have died.
    Intended,
    Done,
    Refused,
    InDoubt,
}

impl EffectState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::InDoubt => "in_doubt",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intended, Self::Done, Self::Refused, Self::InDoubt].into_iter().find(|s| s.as_str() == text)
    }
}

/// What an attempt finds of the attempts before it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub state: EffectState,
    /// Calls that were begun.
    pub tells: i64,
    told_at: Option<Timestamp>,
    teller: String,
    answer: Option<String>,
    code: Option<String>,
    reason: Option<String>,
    doubted_at: Option<Timestamp>,
}

impl Found {
    /// No row.
    pub const NONE: Found = Found {
        state: EffectState::Intended,
        tells: 0,
        told_at: None,
        teller: String::new(),
        answer: None,
        code: None,
        reason: None,
        doubted_at: None,
    };

    /// Whether a call of ours may have reached the outside.
    pub fn may_have_happened(&self) -> bool {
        self.state == EffectState::InDoubt || self.told_at.is_some()
    }

    /// The recorded end: done or refused.
    pub fn ended<T: DeserializeOwned>(&self) -> Result<Option<Ended<T>>, EffectError> {
        match self.state {
            EffectState::Done => {
                let answer = self.answer.as_deref().unwrap_or("null");
                serde_json::from_str(answer)
                    .map(|answer| Some(Ended::Done(answer)))
                    .map_err(EffectError::Answer)
            }
            EffectState::Refused => Ok(Some(Ended::Refused {
                code: self.code.clone().unwrap_or_default(),
                reason: self.reason.clone().unwrap_or_default(),
            })),
            EffectState::Intended | EffectState::InDoubt => Ok(None),
        }
    }

    /// The recorded end, or that it is in doubt.
    pub fn ended_or_open<T: DeserializeOwned>(&self) -> Result<Ended<T>, EffectError> {
        Ok(self.ended()?.unwrap_or(Ended::InDoubt { since: self.doubted_at.unwrap_or_default() }))
    }

    /// How much longer (wall time) the caller of a call without an end may live. Calls of this process are known
    /// exactly, and whoever asks here holds the key among them.
    pub fn other_teller_may_live(&self, ledger: &Ledger) -> Option<Duration> {
        let begun = self.told_at.filter(|_| self.state == EffectState::Intended)?;
        if self.teller == ledger.in_flight().teller() {
            return None;
        }
        let end = begun + ledger.in_flight().tell_time_max();
        let left = end.since(ledger.clock().wall());
        (!left.is_zero()).then_some(left)
    }
}

/// How an effect ends.
pub(super) enum Settle {
    Done {
        answer: String,
    },
    Refused {
        code: String,
        reason: String,
    },
    /// As refused, unless a call was begun.
    NotNeeded {
        code: String,
        reason: String,
    },
}

const FIND: &str = "SELECT state, tells, told_at, teller, answer, code, reason, doubted_at FROM effects \
                    WHERE key = $1";

pub(super) async fn find(ledger: &Ledger, effect: Effect<'_>) -> Result<Option<Found>, LedgerError> {
    let row = sqlx::query(FIND).bind(effect.key()).fetch_optional(ledger.reads()).await?;
    row.map(|row| read(&row)).transpose()
}

/// A call that was begun.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    /// The call's number.
    pub tells: i64,
    /// Whether an earlier call may have happened.
    pub was_in_doubt: bool,
    /// Wall time; its bound is counted from here.
    pub at: Timestamp,
}

/// Begins a call, unless somebody else has changed the row since it was `found`.
pub(super) async fn begin(
    ledger: &Ledger,
    effect: Effect<'_>,
    found: &Found,
) -> Result<Option<Begun>, LedgerError> {
    let clock = ledger.clock();
    let at = clock.wall();
    let mut tx = ledger.begin().await?;
    let done = if found.tells == 0 {
        sqlx::query(
            "INSERT INTO effects (key, kind, about, state, tells, told_at, teller, created_at) \
             VALUES ($1, $2, $3, 'intended', 1, $4, $5, $6) ON CONFLICT (key) DO NOTHING",
        )
        .bind(effect.key())
        .bind(effect.kind.name())
        .bind(effect.about.to_owned())
        .bind(at.micros())
        .bind(ledger.in_flight().teller().to_owned())
        .bind(clock.now().micros())
        .execute(tx.conn())
        .await?
    } else {
        sqlx::query(
            "UPDATE effects SET state = 'intended', tells = tells + 1, told_at = $2, teller = $3 \
             WHERE key = $1 AND tells = $4 AND state = $5",
        )
        .bind(effect.key())
        .bind(at.micros())
        .bind(ledger.in_flight().teller().to_owned())
        .bind(found.tells)
        .bind(found.state.as_str())
        .execute(tx.conn())
        .await?
    };
    if done.rows_affected() > 0 {
        audit(&mut tx, effect, "effect.begun", "");
    }
    tx.commit().await?;
    let begun = Begun { tells: found.tells + 1, was_in_doubt: found.may_have_happened(), at };
    Ok((done.rows_affected() > 0).then_some(begun))
}

/// The call had no effect. What was in doubt before it still is.
pub(super) async fn did_not_happen(
    ledger: &Ledger,
    effect: Effect<'_>,
    begun: Begun,
    why: &str,
) -> Result<(), LedgerError> {
    let tells = begun.tells;
    if begun.was_in_doubt {
        return doubt(ledger, effect, tells, why).await.map(drop);
    }
    let mut tx = ledger.begin().await?;
    sqlx::query(
        "UPDATE effects SET told_at = NULL, last_error = $3 WHERE key = $1 AND tells = $2 AND state = 'intended'",
    )
    .bind(effect.key())
    .bind(tells)
    .bind(why.to_owned())
    .execute(tx.conn())
    .await?;
    audit(&mut tx, effect, "effect.did_not_happen", "");
    tx.commit().await
}

/// After the call number `tells` nobody knows whether it happened. Answers the row as it then stands: an end that
/// came meanwhile is not undone.
pub(super) async fn doubt(
    ledger: &Ledger,
    effect: Effect<'_>,
    tells: i64,
    why: &str,
) -> Result<Found, LedgerError> {
    let now = ledger.clock().now();
    let mut tx = ledger.begin().await?;
    let first = sqlx::query(
        "UPDATE effects SET state = 'in_doubt', doubted_at = $3, last_error = $4 \
         WHERE key = $1 AND tells = $2 AND state IN ('intended', 'in_doubt') AND doubted_at IS NULL",
    )
    .bind(effect.key())
    .bind(tells)
    .bind(now.micros())
    .bind(why.to_owned())
    .execute(tx.conn())
    .await?;
    if first.rows_affected() > 0 {
        audit(&mut tx, effect, "effect.in_doubt", "");
        event(&mut tx, effect, EffectState::InDoubt, why).await?;
    } else {
        sqlx::query(
            "UPDATE effects SET state = 'in_doubt', last_error = $3 \
             WHERE key = $1 AND tells = $2 AND state IN ('intended', 'in_doubt')",
        )
        .bind(effect.key())
        .bind(tells)
        .bind(why.to_owned())
        .execute(tx.conn())
        .await?;
    }
    let after = find_in(&mut tx, effect).await?;
    tx.commit().await?;
    Ok(after)
}

/// Writes the end down. Answers the row as it then stands: of two ends the first is kept, except that knowing that
/// it happened outranks a refusal.
pub(super) async fn settle(ledger: &Ledger, effect: Effect<'_>, end: Settle) -> Result<Found, LedgerError> {
    let mut tx = ledger.begin().await?;
    let more = match &end {
        Settle::Done { .. } => String::new(),
        Settle::Refused { code, .. } | Settle::NotNeeded { code, .. } => code.clone(),
    };
    settle_in(&mut tx, effect, end, &more).await?;
    let after = find_in(&mut tx, effect).await?;
    tx.commit().await?;
    Ok(after)
}

/// As [`settle`], inside a transaction; `more` stands in the timeline. False: there was nothing to settle.
pub(super) async fn settle_in(
    tx: &mut Tx,
    effect: Effect<'_>,
    end: Settle,
    more: &str,
) -> Result<bool, LedgerError> {
    let text = match &end {
        Settle::Done { .. } => {
            "UPDATE effects SET state = $2, answer = $3, code = $4, reason = $5, settled_at = $6 \
             WHERE key = $1 AND state <> 'done'"
        }
        Settle::Refused { .. } => {
            "UPDATE effects SET state = $2, answer = $3, code = $4, reason = $5, settled_at = $6 \
             WHERE key = $1 AND state IN ('intended', 'in_doubt')"
        }
        Settle::NotNeeded { .. } => {
            "UPDATE effects SET state = $2, answer = $3, code = $4, reason = $5, settled_at = $6 \
             WHERE key = $1 AND state = 'intended' AND told_at IS NULL AND doubted_at IS NULL"
        }
    };
    let (state, answer, code, reason) = match end {
        Settle::Done { answer } => (EffectState::Done, Some(answer), None, None),
        Settle::Refused { code, reason } | Settle::NotNeeded { code, reason } => {
            (EffectState::Refused, None, Some(code), Some(reason))
        }
    };
    let now = tx.ledger().clock().now();
    let said = code.clone().unwrap_or_default();
    let settled = sqlx::query(text)
        .bind(effect.key())
        .bind(state.as_str())
        .bind(answer)
        .bind(code)
        .bind(reason)
        .bind(now.micros())
        .execute(tx.conn())
        .await?;
    if settled.rows_affected() == 0 {
        return Ok(false);
    }
    let what = if state == EffectState::Done { "effect.done" } else { "effect.refused" };
    audit(tx, effect, what, &said);
    event(tx, effect, state, more).await?;
    Ok(true)
}

async fn find_in(tx: &mut Tx, effect: Effect<'_>) -> Result<Found, LedgerError> {
    read(&sqlx::query(FIND).bind(effect.key()).fetch_one(tx.conn()).await?)
}

/// A line of the payment audit, where the effect moves money. `how`: the outside's code, where there is one.
fn audit(tx: &mut Tx, effect: Effect<'_>, what: &'static str, how: &str) {
    if effect.kind.moves_money() {
        tx.money(MoneyLine::new(what, effect.about).effect(&effect.key()).how(how));
    }
}

async fn event(tx: &mut Tx, effect: Effect<'_>, state: EffectState, more: &str) -> Result<(), LedgerError> {
    if effect.about.is_empty() {
        return Ok(());
    }
    let text = match more {
        "" => format!("{} {}", effect.kind.name(), state.as_str().replace('_', " ")),
        more => format!("{} {}: {more}", effect.kind.name(), state.as_str().replace('_', " ")),
    };
    let data = json!({ "effect": effect.kind.name(), "key": effect.key(), "state": state });
    tx.event(effect.about, "effect", &text, &data).await
}

fn read(row: &AnyRow) -> Result<Found, LedgerError> {
    let state: String = row.try_get("state")?;
    let instant =
        |column| Ok::<_, LedgerError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    Ok(Found {
        state: EffectState::parse(&state)
            .ok_or_else(|| LedgerError::Unreadable(format!("an effect is in the state {state:?}")))?,
        tells: row.try_get("tells")?,
        told_at: instant("told_at")?,
        teller: row.try_get("teller")?,
        answer: row.try_get("answer")?,
        code: row.try_get("code")?,
        reason: row.try_get("reason")?,
        doubted_at: instant("doubted_at")?,
    })
}

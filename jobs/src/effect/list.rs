//! What people look at: effects in doubt, the effects of an order, how many of each kind.

use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};
use windlass_engine::Timestamp;

use super::record::EffectState;
use crate::ledger::{Ledger, LedgerError};

/// Rows on one page.
pub const EFFECT_ROWS_MAX: u32 = 500;

/// One effect as a person sees it; the answer is the job's own affair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectView {
    pub key: String,
    pub effect: String,
    pub about: String,
    pub state: EffectState,
    pub tells: i64,
    pub code: Option<String>,
    pub reason: Option<String>,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub doubted_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EffectPage {
    /// The oldest first.
    pub effects: Vec<EffectView>,
    /// None: there is no more.
    pub cursor: Option<String>,
}

/// How many effects nobody knows the end of: in doubt, or begun by an attempt that can no longer live.
pub async fn effects_in_doubt(ledger: &Ledger) -> Result<i64, LedgerError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS effects_n FROM effects WHERE settled_at IS NULL \
         AND (state = 'in_doubt' OR (state = 'intended' AND told_at < $1))",
    )
    .bind(abandoned_before(ledger))
    .fetch_one(ledger.reads())
    .await?;
    Ok(row.try_get("effects_n")?)
}

/// One page of effects in `state` (None: in any) after `cursor`, the end of the page before.
/// [`EffectState::InDoubt`] includes those begun by an attempt that can no longer live.
pub async fn effects(
    ledger: &Ledger,
    state: Option<EffectState>,
    limit: u32,
    cursor: Option<&str>,
) -> Result<EffectPage, LedgerError> {
    let limit = limit.clamp(1, EFFECT_ROWS_MAX) as usize;
    let (after_at, after_key) = match cursor {
        Some(cursor) => cursor
            .split_once('_')
            .and_then(|(at, key)| Some((at.parse::<i64>().ok()?, key)))
            .ok_or_else(|| LedgerError::Invalid("this is no cursor of effects".to_owned()))?,
        None => (i64::MIN, ""),
    };
    let abandoned = match state {
        Some(EffectState::InDoubt) => abandoned_before(ledger),
        _ => i64::MIN,
    };
    let rows = sqlx::query(
        "SELECT key, kind, about, state, tells, code, reason, last_error, created_at, doubted_at, settled_at \
         FROM effects WHERE (created_at, key) > ($1, $2) \
         AND ($3 IS NULL OR state = $3 OR (state = 'intended' AND told_at < $4)) \
         ORDER BY created_at, key LIMIT $5",
    )
    .bind(after_at)
    .bind(after_key.to_owned())
    .bind(state.map(|state| state.as_str().to_owned()))
    .bind(abandoned)
    .bind(limit as i64 + 1)
    .fetch_all(ledger.reads())
    .await?;
    let mut effects = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let more = effects.len() > limit;
    effects.truncate(limit);
    let cursor =
        effects.last().filter(|_| more).map(|last| format!("{}_{}", last.created_at.micros(), last.key));
    Ok(EffectPage { effects, cursor })
}

/// The effects of one order, the oldest first, at most [`EFFECT_ROWS_MAX`].
pub async fn effects_about(ledger: &Ledger, about: &str) -> Result<Vec<EffectView>, LedgerError> {
    let mut conn = ledger.reads().acquire().await?;
    effects_about_in(&mut conn, about).await
}

/// As [`effects_about`], on a connection of the caller's.
pub(crate) async fn effects_about_in(
    conn: &mut AnyConnection,
    about: &str,
) -> Result<Vec<EffectView>, LedgerError> {
    let rows = sqlx::query(
        "SELECT key, kind, about, state, tells, code, reason, last_error, created_at, doubted_at, settled_at \
         FROM effects WHERE about = $1 ORDER BY created_at, key LIMIT $2",
    )
    .bind(about.to_owned())
    .bind(i64::from(EFFECT_ROWS_MAX))
    .fetch_all(conn)
    .await?;
    rows.iter().map(view).collect()
}

/// How many effects of each kind stand in each state.
pub async fn effects_by_kind(ledger: &Ledger) -> Result<Vec<(String, EffectState, i64)>, LedgerError> {
    let rows = sqlx::query(
        "SELECT kind, state, COUNT(*) AS effects_n FROM effects GROUP BY kind, state ORDER BY kind, state",
    )
    .fetch_all(ledger.reads())
    .await?;
    rows.iter().map(|row| Ok((row.try_get("kind")?, state(row)?, row.try_get("effects_n")?))).collect()
}

/// Wall time: calls that began before it have ended, with or without a record of how.
fn abandoned_before(ledger: &Ledger) -> i64 {
    (ledger.clock().wall() - ledger.in_flight().tell_time_max()).micros()
}

fn state(row: &AnyRow) -> Result<EffectState, LedgerError> {
    let state: String = row.try_get("state")?;
    EffectState::parse(&state)
        .ok_or_else(|| LedgerError::Unreadable(format!("an effect is in the state {state:?}")))
}

fn view(row: &AnyRow) -> Result<EffectView, LedgerError> {
    let instant =
        |column| Ok::<_, LedgerError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros));
    Ok(EffectView {
        key: row.try_get("key")?,
        effect: row.try_get("kind")?,
        about: row.try_get("about")?,
        state: state(row)?,
        tells: row.try_get("tells")?,
        code: row.try_get("code")?,
        reason: row.try_get("reason")?,
        last_error: row.try_get("last_error")?,
        created_at: Timestamp::from_micros(row.try_get("created_at")?),
        doubted_at: instant("doubted_at")?,
        settled_at: instant("settled_at")?,
    })
}

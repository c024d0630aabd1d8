//! What became of an effect, known by another way than its own call: a callback, a query, the state of the order.
//!
//! Inside the transaction that acts on the news, so that no effect stays in doubt of which the books know the end.

use serde::Serialize;

use super::record::{Settle, settle_in};
use super::{Effect, EffectError};
use crate::ledger::{LedgerError, Tx};

impl Tx {
    /// The outside has it: settles the effect as done, with the answer that its job would have recorded. `how` says
    /// in the timeline how it is known. False: it was never begun, or is known to be done already.
    ///
    /// # Errors
    /// When the ledger fails, or the answer is no JSON.
    pub async fn effect_happened<T: Serialize>(
        &mut self,
        effect: Effect<'_>,
        answer: &T,
        how: &str,
    ) -> Result<bool, LedgerError> {
        let answer = serde_json::to_string(answer)
            .map_err(|error| LedgerError::Invalid(EffectError::Answer(error).to_string()))?;
        settle_in(self, effect, Settle::Done { answer }, how).await
    }

    /// The outside does not have it and never will: settles the effect as refused. False: it was never begun, or
    /// its end is known.
    pub async fn effect_did_not_happen(
        &mut self,
        effect: Effect<'_>,
        code: &str,
        reason: &str,
    ) -> Result<bool, LedgerError> {
        let end = Settle::Refused { code: code.to_owned(), reason: reason.to_owned() };
        settle_in(self, effect, end, code).await
    }

    /// It is not needed any more, and no call of ours has begun: settles the effect as refused. False: it was never
    /// written down, its end is known, or a call was begun, be it since the caller looked.
    pub async fn effect_not_needed(
        &mut self,
        effect: Effect<'_>,
        code: &str,
        reason: &str,
    ) -> Result<bool, LedgerError> {
        let end = Settle::NotNeeded { code: code.to_owned(), reason: reason.to_owned() };
        settle_in(self, effect, end, code).await
    }

    /// Calls for the effect that were begun.
    pub async fn effect_tells(&mut self, effect: Effect<'_>) -> Result<i64, LedgerError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT tells FROM effects WHERE key = $1")
            .bind(effect.key())
            .fetch_optional(self.conn())
            .await?;
        Ok(row.map_or(0, |(tells,)| tells))
    }

    /// How far the effect's own calls came. On PostgreSQL one may begin while the caller acts on the answer.
    pub async fn effect_told(&mut self, effect: Effect<'_>) -> Result<Told, LedgerError> {
        let row: Option<(Option<i64>, Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT told_at, doubted_at, settled_at FROM effects WHERE key = $1")
                .bind(effect.key())
                .fetch_optional(self.conn())
                .await?;
        Ok(match row {
            None | Some((None, None, None)) => Told::Never,
            Some((_, _, Some(_))) => Told::Ended,
            Some(_) => Told::Perhaps,
        })
    }
}

/// Whether a call of ours reached the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Never,
    Perhaps,
    /// How it ended is recorded.
    Ended,
}

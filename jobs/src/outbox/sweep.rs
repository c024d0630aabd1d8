//! Asks after jobs that were handed over: those that are over leave the ledger, those that the carrier has lost are
//! handed over again. The module [`outbox`](super) says why neither is mistaken for the other.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};
use windlass_engine::{JobId, State};

use super::put;
use super::relay::{HandedOver, Relay, RelayError};
use crate::ledger::LedgerError;

/// Rows of one question to the carrier.
const PAGE_ROWS: i64 = 500;
/// Rows that one transaction sends back to the start.
const TAKE_BACK_ROWS: i64 = 5_000;
/// Sweeps that pass between two looks at a dead job: somebody may have retried it in the carrier.
const DEAD_SWEEPS: u32 = 10;
const SWEEP_AGE_MIN: Duration = Duration::from_millis(50);

struct Handed {
    id: String,
    live: bool,
    seen_at: i64,
}

impl Relay {
    /// The settings' age, shortened where the shop's time runs so fast that completed jobs would be pruned before.
    pub(super) fn sweep_age(&self) -> Duration {
        let kept_wall = self.settings.kept_age_min.div_f64(self.ledger.clock().speed());
        self.settings.sweep_age.min(kept_wall / 4).max(SWEEP_AGE_MIN)
    }

    /// Makes every row that was handed over due for the next sweep.
    pub(super) async fn ask_for_all(&self) -> Result<(), LedgerError> {
        let which = "handed_at IS NOT NULL AND look_at > $1";
        self.in_slices(which, 0, "UPDATE outbox SET look_at = 0").await.map(drop)
    }

    /// What another carrier was given is no longer handed over. Dead jobs stay dead.
    pub(super) async fn take_back_from_others(&self, carrier: i64) -> Result<(), LedgerError> {
        // The two ends of an index: looking for the difference itself would read every row that was handed over.
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT MIN(carrier) FROM outbox WHERE handed_at IS NOT NULL AND state = 'live') AS first_carrier, \
                    (SELECT MAX(carrier) FROM outbox WHERE handed_at IS NOT NULL AND state = 'live') AS last_carrier",
        )
        .fetch_one(self.ledger.reads())
        .await?;
        if [first, last].into_iter().flatten().all(|known| known == carrier) {
            return Ok(());
        }
        let which = "handed_at IS NOT NULL AND state = 'live' AND (carrier < $1 OR carrier > $1)";
        let rows = self.in_slices(which, carrier, "UPDATE outbox SET handed_at = NULL, look_at = 0").await?;
        tracing::warn!(rows, "the carrier is another one than before: unfinished jobs are handed over again");
        Ok(())
    }

    /// Does `change` to the rows that `which` finds, given `number`, a slice at a time.
    async fn in_slices(&self, which: &str, number: i64, change: &str) -> Result<u64, LedgerError> {
        let text = format!("SELECT id FROM outbox WHERE {which} LIMIT $2");
        let change = format!("{change} WHERE {which} AND id IN");
        let mut changed = 0;
        loop {
            let found: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(text.clone()))
                .bind(number)
                .bind(TAKE_BACK_ROWS)
                .fetch_all(self.ledger.reads())
                .await?;
            let ids: Vec<String> = found.into_iter().map(|(id,)| id).collect();
            if !ids.is_empty() {
                let mut tx = self.ledger.begin().await?;
                put::lock(tx.conn(), ids.iter().map(String::as_str)).await?;
                changed += put::each_slice(tx.conn(), &change, &ids, &[number]).await?;
                tx.commit().await?;
            }
            if ids.len() < TAKE_BACK_ROWS as usize {
                return Ok(changed);
            }
        }
    }

    /// Asks after everything that is due to be asked after, a page at a time; then forgets the long dead.
    pub(super) async fn sweep(&self, carrier: i64) -> Result<HandedOver, RelayError> {
        // A relay that was slow may have noted the former carrier after its rows were taken back.
        self.take_back_from_others(carrier).await?;
        let mut all = HandedOver::default();
        loop {
            let rows = self.due_rows().await?;
            if rows.is_empty() {
                break;
            }
            let ids = rows.iter().map(|row| JobId::parse(row.id.as_str())).collect::<Result<Vec<_>, _>>();
            let ids = ids.map_err(|error| LedgerError::Unreadable(error.to_string()))?;
            let states = self.store.states(ids).await?;
            all.add(self.settle(rows, states).await?);
        }
        self.forget_long_dead().await?;
        if all.lost > 0 {
            tracing::warn!(jobs = all.lost, carrier, "the carrier had lost jobs; they are handed over again");
            metrics::counter!("windlass_outbox_lost_total").increment(all.lost);
            // The rows wait again, and this process must not sleep over them.
            self.ledger.wake().notify_one();
        }
        Ok(all)
    }

    async fn due_rows(&self) -> Result<Vec<Handed>, LedgerError> {
        let rows = sqlx::query(
            "SELECT id, state, seen_at FROM outbox WHERE handed_at IS NOT NULL AND look_at <= $1 \
             ORDER BY look_at, id LIMIT $2",
        )
        .bind(self.ledger.clock().wall().micros())
        .bind(PAGE_ROWS)
        .fetch_all(self.ledger.reads())
        .await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get("state")?;
                let seen_at: Option<i64> = row.try_get("seen_at")?;
                Ok(Handed { id: row.try_get("id")?, live: state == "live", seen_at: seen_at.unwrap_or(0) })
            })
            .collect()
    }

    async fn settle(&self, rows: Vec<Handed>, states: Vec<Option<State>>) -> Result<HandedOver, LedgerError> {
        let clock = self.ledger.clock();
        let (now, wall) = (clock.now(), clock.wall());
        let kept_since = (now - self.settings.kept_age_min).micros();
        let (mut seen, mut over, mut dead, mut lost, mut later) = (vec![], vec![], vec![], vec![], vec![]);
        let mut revived = Vec::new();
        let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
        for (row, state) in rows.into_iter().zip(states) {
            match (row.live, state) {
                (_, Some(State::Completed | State::Cancelled)) => over.push(row.id),
                (true, Some(State::Dead)) => dead.push(row.id),
                (false, Some(State::Dead) | None) => later.push(row.id),
                (true, Some(_)) => seen.push(row.id),
                (false, Some(_)) => revived.push(row.id),
                (true, None) if row.seen_at >= kept_since => lost.push(row.id),
                (true, None) => {
                    tracing::warn!(job = %row.id, "the carrier held this job long ago and has pruned it since");
                    over.push(row.id);
                }
            }
        }
        let next_look = (wall + self.sweep_age()).micros();
        let far_look = (wall + self.sweep_age() * DEAD_SWEEPS).micros();
        let mut tx = self.ledger.begin().await?;
        let conn = tx.conn();
        put::lock(conn, ids.iter().map(String::as_str)).await?;
        for id in &revived {
            put::revive(conn, id, 0).await?;
        }
        let text = "UPDATE outbox SET seen_at = $1, look_at = $2 WHERE id IN";
        put::each_slice(conn, text, &seen, &[now.micros(), next_look]).await?;
        let text = "UPDATE outbox SET handed_at = NULL, look_at = 0 WHERE state = 'live' AND id IN";
        put::each_slice(conn, text, &lost, &[]).await?;
        put::bury(conn, &dead, now.micros()).await?;
        let text = "UPDATE outbox SET look_at = $1 WHERE id IN";
        put::each_slice(conn, text, &dead, &[far_look]).await?;
        put::each_slice(conn, text, &later, &[far_look]).await?;
        put::remove(conn, &over).await?;
        tx.commit().await?;
        Ok(HandedOver { over: over.len() as u64, lost: lost.len() as u64, ..HandedOver::default() })
    }

    async fn forget_long_dead(&self) -> Result<(), LedgerError> {
        let before = (self.ledger.clock().now() - self.settings.dead_age_max).micros();
        let which = "ended_at IS NOT NULL AND state <> 'live' AND ended_at < $1";
        self.in_slices(which, before, "DELETE FROM outbox").await.map(drop)
    }
}

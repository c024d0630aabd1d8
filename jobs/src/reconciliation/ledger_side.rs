//! Our side (L): the payments and refunds of one day, read in pages and sorted.
//!
//! Pages go by instant and key, so that no read stays open for long (on SQLite an open one keeps the log from being
//! taken over into the file) and each follows an index; that their order is not that of the keys does not matter.

use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;

use super::day::Day;
use super::records::{OurPayment, OurRefund};
use super::sorter::{Record, Sorted, Sorter};
use crate::ledger::{Ledger, LedgerError};
use crate::payments::RefundState;

/// Rows of one page.
const PAGE_ROWS: i64 = 10_000;

/// One side of a leg, sorted, with its totals.
pub struct SortedSide<R> {
    pub rows: Sorted<R>,
    pub count: u64,
    pub sum_fen: i64,
}

/// Our payments that were paid on the day, whatever became of their orders.
///
/// # Errors
/// When the ledger is away or the disk is full.
pub async fn payments(ledger: &Ledger, folder: &Path, day: Day) -> anyhow::Result<SortedSide<OurPayment>> {
    let table = Table {
        page: "SELECT out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, paid_at FROM payments \
               WHERE (paid_at, out_trade_no) > ($1, $2) AND paid_at < $3 ORDER BY paid_at, out_trade_no LIMIT $4",
        read: OurPayment::of,
        place: |payment| (payment.paid_at, &payment.out_trade_no),
        fen: |payment| payment.state.has_money().then_some(payment.paid_fen),
    };
    table.sorted(ledger, folder, day).await
}

/// Our refunds that were requested on the day and that the channel has, or may have, taken.
///
/// # Errors
/// As [`payments`].
pub async fn refunds(ledger: &Ledger, folder: &Path, day: Day) -> anyhow::Result<SortedSide<OurRefund>> {
    let table = Table {
        page: "SELECT refund_no, order_no, state, amount_fen, refund_id, requested_at FROM refunds \
               WHERE (requested_at, refund_no) > ($1, $2) AND requested_at < $3 \
               ORDER BY requested_at, refund_no LIMIT $4",
        read: OurRefund::of,
        place: |refund| (refund.requested_at, &refund.refund_no),
        fen: |refund| Some(if owes_a_row(refund.state) { refund.amount_fen } else { 0 }),
    };
    table.sorted(ledger, folder, day).await
}

/// A table of ours, as one side of a leg.
struct Table<R> {
    /// Rows after an instant ($1) and a number ($2) and before an instant ($3), at most so many ($4).
    page: &'static str,
    read: fn(&AnyRow) -> Result<R, sqlx::Error>,
    /// The instant and the number that rows are read in the order of.
    place: fn(&R) -> (i64, &str),
    /// What a row adds to the total; None: it has no part in the comparison.
    fen: fn(&R) -> Option<i64>,
}

impl<R: Record> Table<R> {
    async fn sorted(&self, ledger: &Ledger, folder: &Path, day: Day) -> anyhow::Result<SortedSide<R>> {
        let mut sorter = Sorter::new(folder);
        let (mut sum_fen, mut after_at, mut after_no) = (0_i64, day.start().micros(), String::new());
        loop {
            let mut rows = sqlx::query(self.page)
                .bind(after_at)
                .bind(after_no.clone())
                .bind(day.end().micros())
                .bind(PAGE_ROWS)
                .fetch(ledger.reads());
            let mut read = 0;
            while let Some(row) = rows.try_next().await.map_err(LedgerError::from)? {
                let ours = (self.read)(&row)?;
                read += 1;
                let (at, no) = (self.place)(&ours);
                after_at = at;
                no.clone_into(&mut after_no);
                if let Some(fen) = (self.fen)(&ours) {
                    sum_fen = sum_fen.saturating_add(fen);
                    sorter.push(&ours).await?;
                }
            }
            if read < PAGE_ROWS {
                break;
            }
        }
        Ok(SortedSide { count: sorter.len(), sum_fen, rows: sorter.sorted().await? })
    }
}

/// A refund that WeChat took is in a bill, whatever became of it later (facts: wechat-pay.md 10).
pub const fn owes_a_row(state: RefundState) -> bool {
    matches!(state, RefundState::Accepted | RefundState::Succeeded | RefundState::Abnormal)
}

/// Whether we have any trade of the day.
///
/// # Errors
/// When the ledger is away.
pub async fn trades_on(ledger: &Ledger, day: Day) -> Result<bool, LedgerError> {
    let (start, end) = (day.start().micros(), day.end().micros());
    let payment: Option<(String,)> = sqlx::query_as(
        "SELECT out_trade_no FROM payments WHERE paid_at >= $1 AND paid_at < $2 \
         AND state IN ('succeeded', 'late', 'disputed') LIMIT 1",
    )
    .bind(start)
    .bind(end)
    .fetch_optional(ledger.reads())
    .await?;
    let refund: Option<(String,)> = sqlx::query_as(
        "SELECT refund_no FROM refunds WHERE requested_at >= $1 AND requested_at < $2 \
         AND state IN ('accepted', 'succeeded', 'abnormal') LIMIT 1",
    )
    .bind(start)
    .bind(end)
    .fetch_optional(ledger.reads())
    .await?;
    Ok(payment.is_some() || refund.is_some())
}

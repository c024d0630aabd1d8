//! How a day was, from the ledger and the carrier: the figures of [`DailySummary`], and nothing that decides anything.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::AnyConnection;
use windlass_engine::Timestamp;

use super::dead_jobs::dead_jobs;
use super::facts::{at_beijing, yuan};
use super::message::{
    Balance, Counted, DailySummary, DayOfMoney, DayOfOrders, FindingsOfType, Reconciled, RefundsOpen,
};
use crate::effect::{EffectState, effects_by_kind};
use crate::ledger::{Ledger, LedgerError};
use crate::orders::OrderState;
use crate::payments::RefundState;
use crate::shop::Shop;
use crate::shop_time::{next_midnight_beijing, parse_beijing};

/// From one midnight in Beijing to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    date: NaiveDate,
    from: Timestamp,
    to: Timestamp,
}

impl Day {
    pub(super) fn of(date: NaiveDate) -> Option<Self> {
        let from = parse_beijing(&date.to_string())?;
        Some(Self { date, from, to: next_midnight_beijing(from) })
    }

    pub(super) fn is_over(self, now: Timestamp) -> bool {
        now >= self.to
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.date.fmt(f)
    }
}

/// What is to be said of the day.
///
/// # Errors
/// When the ledger fails. A carrier that cannot be asked is said in the summary.
pub(super) async fn summarize(shop: &Shop, day: Day) -> Result<DailySummary, LedgerError> {
    let dead_jobs = dead_jobs(&shop.ledger, shop.notifier.dead_jobs.as_ref()).await?;
    let effects = effects_by_kind(&shop.ledger).await?.into_iter();
    let effects_in_doubt: Vec<_> = effects
        .filter(|(_, state, _)| *state == EffectState::InDoubt)
        .map(|(name, _, count)| Counted { name, count })
        .collect();
    let balances = balances(&shop.ledger).await?;
    // The bill of the day itself comes later in the morning.
    let reconciliations = match day.date.pred_opt() {
        Some(before) => reconciled(&shop.ledger, before).await?,
        None => Vec::new(),
    };
    let mut conn = shop.ledger.snapshot().await?;
    let mut summary = DailySummary {
        day: day.to_string(),
        orders: orders(&mut conn, day).await?,
        money: money(&mut conn, day).await?,
        refunds_open: refunds_open(&mut conn).await?,
        findings: findings(&mut conn, day).await?,
        dead_jobs,
        effects_in_doubt,
        balances,
        reconciliations,
        is_quiet: false,
    };
    summary.is_quiet = summary.dead_jobs.total == 0
        && summary.effects_in_doubt.is_empty()
        && summary.findings.iter().all(|finding| finding.open == 0);
    Ok(summary)
}

/// Orders that are over were not touched after they ended, or later than that: `touched_at` narrows what is read.
async fn orders(conn: &mut AnyConnection, day: Day) -> Result<DayOfOrders, LedgerError> {
    let mut ended = Vec::new();
    for state in OrderState::ALL.iter().filter(|state| state.is_terminal()) {
        let (count,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) AS n FROM orders WHERE state = $1 AND touched_at >= $2 AND state_at >= $2 AND state_at < $3",
        )
        .bind(state.as_str())
        .bind(day.from.micros())
        .bind(day.to.micros())
        .fetch_one(&mut *conn)
        .await?;
        ended.push(Counted { name: state.as_str().to_owned(), count });
    }
    let (placed,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) AS n FROM orders WHERE recorded_at >= $1 AND recorded_at < $2")
            .bind(day.from.micros())
            .bind(day.to.micros())
            .fetch_one(&mut *conn)
            .await?;
    let by_state: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, COUNT(*) AS n FROM orders GROUP BY state").fetch_all(conn).await?;
    let is_over = |state: &str| state.parse::<OrderState>().is_ok_and(OrderState::is_terminal);
    let open = by_state.iter().filter(|(state, _)| !is_over(state)).map(|(_, count)| count).sum();
    Ok(DayOfOrders { placed, ended, open })
}

async fn money(conn: &mut AnyConnection, day: Day) -> Result<DayOfMoney, LedgerError> {
    let (paid_count, paid): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(paid_fen), 0) AS BIGINT) AS fen FROM payments \
         WHERE paid_at >= $1 AND paid_at < $2",
    )
    .bind(day.from.micros())
    .bind(day.to.micros())
    .fetch_one(&mut *conn)
    .await?;
    let (refunded_count, refunded): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) AS fen FROM refunds \
         WHERE state = 'succeeded' AND settled_at >= $1 AND settled_at < $2",
    )
    .bind(day.from.micros())
    .bind(day.to.micros())
    .fetch_one(conn)
    .await?;
    Ok(DayOfMoney {
        paid: yuan(paid),
        paid_count,
        refunded: yuan(refunded),
        refunded_count,
        net: yuan(paid - refunded),
    })
}

async fn refunds_open(conn: &mut AnyConnection) -> Result<RefundsOpen, LedgerError> {
    let (mut count, mut fen, mut oldest) = (0, 0, None::<i64>);
    for state in RefundState::ALL.iter().filter(|state| !state.is_final()) {
        let (n, sum, since): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(amount_fen), 0) AS BIGINT) AS fen, \
             MIN(requested_at) AS since FROM refunds WHERE state = $1",
        )
        .bind(state.as_str())
        .fetch_one(&mut *conn)
        .await?;
        (count, fen) = (count + n, fen + sum);
        oldest = [oldest, since].into_iter().flatten().min();
    }
    let oldest = oldest.map(|at| at_beijing(Timestamp::from_micros(at)));
    Ok(RefundsOpen { count, amount: yuan(fen), oldest })
}

/// Of each type that was raised on the day or waits for somebody.
async fn findings(conn: &mut AnyConnection, day: Day) -> Result<Vec<FindingsOfType>, LedgerError> {
    let mut types: BTreeMap<String, FindingsOfType> = BTreeMap::new();
    let raised: Vec<(String, i64)> = sqlx::query_as(
        "SELECT type, COUNT(*) AS n FROM findings WHERE raised_at >= $1 AND raised_at < $2 GROUP BY type",
    )
    .bind(day.from.micros())
    .bind(day.to.micros())
    .fetch_all(&mut *conn)
    .await?;
    let none = |name: &str| FindingsOfType { name: name.to_owned(), raised: 0, open: 0, oldest: None };
    for (name, count) in raised {
        types.entry(name.clone()).or_insert_with(|| none(&name)).raised = count;
    }
    let open: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT type, COUNT(*) AS n, MIN(raised_at) AS since FROM findings WHERE settled_at IS NULL GROUP BY type",
    )
    .fetch_all(conn)
    .await?;
    for (name, count, since) in open {
        let row = types.entry(name.clone()).or_insert_with(|| none(&name));
        (row.open, row.oldest) = (count, Some(at_beijing(Timestamp::from_micros(since))));
    }
    Ok(types.into_values().collect())
}

/// What the suppliers' accounts held when they were last asked.
async fn balances(ledger: &Ledger) -> Result<Vec<Balance>, LedgerError> {
    let rows: Result<Vec<(String, String, i64, i64)>, _> = sqlx::query_as(
        "SELECT payer_account_code, sale_group_name, balance_fen, asked_at FROM supplier_balances \
         ORDER BY payer_account_code, sale_group_code LIMIT $1",
    )
    .bind(BALANCES_MAX)
    .fetch_all(ledger.reads())
    .await;
    let rows = if_there(rows)?.into_iter();
    let balance = |(account, group, fen, asked_at): (String, String, i64, i64)| Balance {
        account: if group.is_empty() { account } else { format!("{account} {group}") },
        amount: yuan(fen),
        asked: at_beijing(Timestamp::from_micros(asked_at)),
    };
    Ok(rows.map(balance).collect())
}

/// How the newest comparison with the bills of that day ended.
async fn reconciled(ledger: &Ledger, date: NaiveDate) -> Result<Vec<Reconciled>, LedgerError> {
    let rows: Result<Vec<(String, String, i64)>, _> = sqlx::query_as(
        "SELECT r.mchid AS mchid, r.state AS state, \
         (SELECT COUNT(*) FROM reconciliation_findings f WHERE f.reconciliation_id = r.id) AS findings \
         FROM reconciliations r WHERE r.day = $1 AND r.state <> 'abandoned' AND r.version = \
         (SELECT MAX(n.version) FROM reconciliations n \
          WHERE n.mchid = r.mchid AND n.day = r.day AND n.state <> 'abandoned') ORDER BY r.mchid LIMIT $2",
    )
    .bind(date.to_string())
    .bind(BALANCES_MAX)
    .fetch_all(ledger.reads())
    .await;
    let rows = if_there(rows)?.into_iter();
    let reconciled = |(what, state, findings): (String, String, i64)| Reconciled {
        day: date.to_string(),
        what,
        state,
        findings,
    };
    Ok(rows.map(reconciled).collect())
}

/// Nothing, where the ledger has not such tables: a build may leave a part of the business out.
fn if_there<T>(rows: Result<Vec<T>, sqlx::Error>) -> Result<Vec<T>, LedgerError> {
    match rows {
        Err(sqlx::Error::Database(error)) if error.message().contains("no such table") => Ok(Vec::new()),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            Ok(Vec::new())
        }
        rows => Ok(rows?),
    }
}

/// PostgreSQL's word for it.
const UNDEFINED_TABLE: &str = "42P01";
/// Accounts, or merchants, that are listed.
const BALANCES_MAX: i64 = 20;

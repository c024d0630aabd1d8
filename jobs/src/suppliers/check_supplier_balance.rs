//! What is left on the payer accounts. A supplier order is only as good as the money behind it, so somebody is told
//! before it runs out.
//!
//! An account that is low is a finding, once for each time it falls; back above its bound, the finding is resolved.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::haier::PayerBalance;
use crate::findings::{FindingType, NewFinding};
use crate::ledger::{LedgerError, Tx};
use crate::money::Fen;
use crate::shop::Shop;
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

/// Accounts of one answer that are read: each has a label of its own in the metrics.
const ACCOUNTS_MAX: usize = 50;
/// Readings that one run forgets.
const FORGET_ROWS_MAX: i64 = 10_000;

/// Reads the balances of all payer accounts.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSupplierBalance {}

impl Job for CheckSupplierBalance {
    const KIND: &'static str = "check_supplier_balance";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let asked_at = shop.clock.now();
        let mut balances = shop.haier.balance().await.map_err(verdict::of_outside)?;
        balances.sort_by(|a, b| account(a).cmp(&account(b)));
        balances.dedup_by(|a, b| account(a) == account(b));
        balances.truncate(ACCOUNTS_MAX);

        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        let mut low = 0;
        for balance in &balances {
            low += u64::from(keep(shop, &mut tx, balance, asked_at).await?);
        }
        forget(&mut tx, shop).await?;
        tx.commit().await?;
        Ok(Outcome::result(json!({ "accounts": balances.len(), "low": low })))
    }
}

fn account(balance: &PayerBalance) -> (&str, &str) {
    (&balance.sale_group_code, &balance.payer_account_code)
}

/// Writes the reading down; answers whether the account is low.
async fn keep(
    shop: &Shop,
    tx: &mut Tx,
    balance: &PayerBalance,
    asked_at: Timestamp,
) -> Result<bool, LedgerError> {
    let fen = balance.balance.get();
    let (was_low,): (String,) = sqlx::query_as(
        "INSERT INTO supplier_balances (sale_group_code, payer_account_code, sale_group_name, balance_fen, asked_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sale_group_code, payer_account_code) DO UPDATE SET \
         sale_group_name = excluded.sale_group_name, balance_fen = excluded.balance_fen, \
         asked_at = excluded.asked_at RETURNING low",
    )
    .bind(&balance.sale_group_code)
    .bind(&balance.payer_account_code)
    .bind(&balance.sale_group_name)
    .bind(fen)
    .bind(asked_at.micros())
    .fetch_one(tx.conn())
    .await?;
    let id = tx.row_id();
    sqlx::query(
        "INSERT INTO supplier_balance_readings (id, sale_group_code, payer_account_code, at, balance_fen) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(&balance.sale_group_code)
    .bind(&balance.payer_account_code)
    .bind(asked_at.micros())
    .bind(fen)
    .execute(tx.conn())
    .await?;
    let is_low = fen < low_below(shop, balance);
    if is_low != was_low.is_empty() {
        return Ok(is_low);
    }
    let low = if is_low {
        fell(shop, tx, balance, asked_at).await?
    } else {
        recovered(tx, balance, &was_low).await?
    };
    sqlx::query(
        "UPDATE supplier_balances SET low = $1 WHERE sale_group_code = $2 AND payer_account_code = $3",
    )
    .bind(low)
    .bind(&balance.sale_group_code)
    .bind(&balance.payer_account_code)
    .execute(tx.conn())
    .await?;
    Ok(is_low)
}

fn low_below(shop: &Shop, balance: &PayerBalance) -> i64 {
    let of_account = shop.settings.balance_low_fen_by_account.get(&balance.payer_account_code);
    of_account.copied().unwrap_or(shop.settings.balance_low_fen)
}

async fn fell(
    shop: &Shop,
    tx: &mut Tx,
    balance: &PayerBalance,
    asked_at: Timestamp,
) -> Result<String, LedgerError> {
    let key = format!("{}:{}:{}", balance.sale_group_code, balance.payer_account_code, asked_at.to_rfc3339());
    let bound = low_below(shop, balance);
    let text = format!(
        "Payer account {} ({}) has {} yuan left, less than {}: pay in before orders are refused for it.",
        balance.payer_account_code,
        balance.sale_group_name,
        balance.balance,
        Fen(bound)
    );
    tx.raise(&NewFinding {
        kind: FindingType::BalanceLow,
        key: &key,
        order_no: None,
        amount_fen: Some(balance.balance.get()),
        text: &text,
        evidence: json!({ "balance_fen": balance.balance.get(), "bound_fen": bound, "asked_at": asked_at.to_rfc3339() }),
    })
    .await?;
    tracing::warn!(payer_account = balance.payer_account_code, "a payer account is low");
    Ok(key)
}

async fn recovered(tx: &mut Tx, balance: &PayerBalance, key: &str) -> Result<String, LedgerError> {
    let reason = format!("the account has {} yuan again", balance.balance);
    tx.resolve_finding(FindingType::BalanceLow, key, "check_supplier_balance", &reason).await?;
    Ok(String::new())
}

async fn forget(tx: &mut Tx, shop: &Shop) -> Result<(), LedgerError> {
    let before = shop.clock.now() - Duration::from_secs(shop.settings.balances_kept_s);
    sqlx::query(
        "DELETE FROM supplier_balance_readings WHERE id IN \
         (SELECT id FROM supplier_balance_readings WHERE at < $1 ORDER BY at, id LIMIT $2)",
    )
    .bind(before.micros())
    .bind(FORGET_ROWS_MAX)
    .execute(tx.conn())
    .await?;
    Ok(())
}

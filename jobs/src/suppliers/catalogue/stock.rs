//! How many there are for a county, and how that moved.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use windlass_engine::Timestamp;

use super::{ROWS_AT_ONCE, by_code, rows};
use crate::ledger::{LedgerError, Tx};

/// Rows of history that one call forgets.
const FORGET_ROWS_MAX: i64 = 10_000;
/// `asked_at` of a row that no answer has filled yet.
const NEVER: i64 = -1;

/// Writes down quantities that were asked for at `asked_at`; answers how many are other than before.
pub(crate) async fn keep_stock(
    tx: &mut Tx,
    asked_at: Timestamp,
    county_code: &str,
    learned: &[(String, i64)],
) -> Result<u64, LedgerError> {
    let learned = by_code(learned.iter().map(|(code, units)| (code.as_str(), (code.as_str(), *units))));
    let mut changed = 0;
    for chunk in learned.chunks(ROWS_AT_ONCE) {
        let known = take(tx, county_code, chunk).await?;
        let (mut same, mut moves) = (Vec::new(), Vec::new());
        for &(code, units) in chunk {
            match known.get(code) {
                Some(&(_, at)) if at > asked_at.micros() => {}
                Some(&(before, at)) if at != NEVER && before == units => same.push((code, units)),
                Some(&(before, at)) => moves.push((code, (at != NEVER).then_some(before), units)),
                None => {}
            }
        }
        write_same(tx, asked_at, county_code, &same).await?;
        write_moves(tx, asked_at, county_code, &moves).await?;
        changed += moves.len() as u64;
    }
    Ok(changed)
}

/// Forgets moves that are older than `age`, a bounded number of them; answers how many.
pub(crate) async fn forget_stock_changes(tx: &mut Tx, age: Duration) -> Result<u64, LedgerError> {
    let before = (tx.ledger().clock().now() - age).micros();
    let gone = sqlx::query(
        "DELETE FROM stock_changes WHERE id IN \
         (SELECT id FROM stock_changes WHERE at < $1 ORDER BY at, id LIMIT $2)",
    )
    .bind(before)
    .bind(FORGET_ROWS_MAX)
    .execute(tx.conn())
    .await?;
    Ok(gone.rows_affected())
}

/// Takes the rows, new ones blank: quantity and when it was asked for.
async fn take(
    tx: &mut Tx,
    county_code: &str,
    chunk: &[(&str, i64)],
) -> Result<HashMap<String, (i64, i64)>, LedgerError> {
    let values: Vec<String> = (0..chunk.len()).map(|n| format!("(${}, $1, 0, $2)", n + 3)).collect();
    let sql = format!(
        "INSERT INTO stock (product_code, county_code, quantity, asked_at) VALUES {} \
         ON CONFLICT (product_code, county_code) DO UPDATE SET product_code = excluded.product_code \
         RETURNING product_code, quantity, asked_at",
        values.join(", ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false).bind(county_code).bind(NEVER);
    for (code, _) in chunk {
        query = query.bind(*code);
    }
    let known: Vec<(String, i64, i64)> = query.fetch_all(tx.conn()).await?;
    Ok(known.into_iter().map(|(code, units, at)| (code, (units, at))).collect())
}

async fn write_same(
    tx: &mut Tx,
    asked_at: Timestamp,
    county_code: &str,
    same: &[(&str, i64)],
) -> Result<(), LedgerError> {
    if same.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE stock SET asked_at = $1 WHERE county_code = $2 AND product_code IN ({})",
        super::numbered(3, same.len())
    );
    let mut query =
        sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros()).bind(county_code);
    for (code, _) in same {
        query = query.bind(*code);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

async fn write_moves(
    tx: &mut Tx,
    asked_at: Timestamp,
    county_code: &str,
    moves: &[(&str, Option<i64>, i64)],
) -> Result<(), LedgerError> {
    if moves.is_empty() {
        return Ok(());
    }
    for (code, _, units) in moves {
        sqlx::query(
            "UPDATE stock SET quantity = $1, asked_at = $2, changed_at = $2 \
             WHERE product_code = $3 AND county_code = $4",
        )
        .bind(*units)
        .bind(asked_at.micros())
        .bind(*code)
        .bind(county_code)
        .execute(tx.conn())
        .await?;
    }
    let sql = format!(
        "INSERT INTO stock_changes (id, product_code, county_code, quantity_before, quantity, at) VALUES {}",
        rows(moves.len(), 5)
    );
    let ids: Vec<String> = moves.iter().map(|_| tx.row_id()).collect();
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
    for (id, (code, before, units)) in ids.iter().zip(moves) {
        query = query.bind(id).bind(*code).bind(county_code).bind(*before).bind(*units);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

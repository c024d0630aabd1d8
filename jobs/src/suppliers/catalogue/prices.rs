//! What a product costs us, and each move of it.

use std::collections::HashMap;

use serde_json::json;
use sqlx::AssertSqlSafe;
use windlass_engine::Timestamp;

use super::events::{self, CatalogueEvent, Happened};
use super::{ROWS_AT_ONCE, by_code, rows};
use crate::findings::{FindingType, NewFinding};
use crate::ledger::{LedgerError, Tx};
use crate::money::Fen;
use crate::stored::stored_row;
use crate::suppliers::haier::Price;

/// What became of the prices of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prices {
    pub changed: u64,
    /// Prices whose parts do not make their whole, for the first time.
    pub mismatched: u64,
}

/// A row as it was before an answer.
#[derive(Clone)]
struct Known {
    product_code: String,
    supply_fen: Option<i64>,
    invoice_fen: Option<i64>,
    computed_fen: Option<i64>,
    rebate_rate: String,
    rebate_fen: i64,
    rebate_policy: String,
    refusal: String,
    mismatch: String,
    asked_at: i64,
    priced_at: i64,
    changed_at: i64,
}
stored_row!(Known {
    product_code,
    supply_fen,
    invoice_fen,
    computed_fen,
    rebate_rate,
    rebate_fen,
    rebate_policy,
    refusal,
    mismatch,
    asked_at,
    priced_at,
    changed_at,
});

/// Writes down an answer that was asked for at `asked_at`.
pub(crate) async fn keep_prices<'a>(
    tx: &mut Tx,
    asked_at: Timestamp,
    learned: impl IntoIterator<Item = &'a Price>,
) -> Result<Prices, LedgerError> {
    let learned = by_code(learned.into_iter().map(|price| (price.code.as_str(), price)));
    let mut became = Prices::default();
    for chunk in learned.chunks(ROWS_AT_ONCE) {
        let known = take(tx, chunk).await?;
        let (mut next, mut moves, mut happened, mut findings) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for price in chunk {
            let Some(known) = known.get(price.code.as_str()) else { continue };
            if known.asked_at > asked_at.micros() {
                continue;
            }
            let row = known.after(price, asked_at);
            if let Some(event) = known.moved_to(&row) {
                happened.push(event);
                moves.push((known, row.clone()));
            }
            if known.mismatch != row.mismatch {
                became.mismatched += u64::from(!row.mismatch.is_empty());
                findings.push((known.mismatch.clone(), row.clone()));
            }
            next.push(row);
        }
        became.changed += moves.len() as u64;
        write(tx, asked_at, &next).await?;
        write_moves(tx, asked_at, &moves).await?;
        events::write(tx, &happened).await?;
        for (before, row) in &findings {
            tell_mismatch(tx, before, row).await?;
        }
    }
    Ok(became)
}

/// Takes the rows, new ones blank, and reads what they say.
async fn take(tx: &mut Tx, chunk: &[&Price]) -> Result<HashMap<String, Known>, LedgerError> {
    let values: Vec<String> = (1..=chunk.len()).map(|n| format!("(${n})")).collect();
    let sql = format!(
        "INSERT INTO prices (product_code) VALUES {} \
         ON CONFLICT (product_code) DO UPDATE SET product_code = excluded.product_code \
         RETURNING product_code, supply_fen, invoice_fen, computed_fen, rebate_rate, rebate_fen, rebate_policy, \
         refusal, mismatch, asked_at, priced_at, changed_at",
        values.join(", ")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
    for price in chunk {
        query = query.bind(&price.code);
    }
    let known: Vec<Known> = query.fetch_all(tx.conn()).await?;
    Ok(known.into_iter().map(|known| (known.product_code.clone(), known)).collect())
}

async fn write(tx: &mut Tx, asked_at: Timestamp, next: &[Known]) -> Result<(), LedgerError> {
    if next.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO prices (product_code, supply_fen, invoice_fen, computed_fen, rebate_rate, rebate_fen, \
         rebate_policy, refusal, mismatch, priced_at, changed_at, asked_at) VALUES {} \
         ON CONFLICT (product_code) DO UPDATE SET supply_fen = excluded.supply_fen, \
         invoice_fen = excluded.invoice_fen, computed_fen = excluded.computed_fen, \
         rebate_rate = excluded.rebate_rate, rebate_fen = excluded.rebate_fen, \
         rebate_policy = excluded.rebate_policy, refusal = excluded.refusal, mismatch = excluded.mismatch, \
         priced_at = excluded.priced_at, changed_at = excluded.changed_at, asked_at = excluded.asked_at",
        rows(next.len(), 11)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
    for row in next {
        query = query
            .bind(&row.product_code)
            .bind(row.supply_fen)
            .bind(row.invoice_fen)
            .bind(row.computed_fen)
            .bind(&row.rebate_rate)
            .bind(row.rebate_fen)
            .bind(&row.rebate_policy)
            .bind(&row.refusal)
            .bind(&row.mismatch)
            .bind(row.priced_at)
            .bind(row.changed_at);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

async fn write_moves(tx: &mut Tx, asked_at: Timestamp, moves: &[(&Known, Known)]) -> Result<(), LedgerError> {
    if moves.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO price_changes (id, product_code, supply_fen_before, supply_fen, invoice_fen_before, \
         invoice_fen, refusal, at) VALUES {}",
        rows(moves.len(), 7)
    );
    let ids: Vec<String> = moves.iter().map(|_| tx.row_id()).collect();
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(asked_at.micros());
    for (id, (from, to)) in ids.iter().zip(moves) {
        query = query
            .bind(id)
            .bind(&to.product_code)
            .bind(from.supply_fen)
            .bind(to.supply_fen)
            .bind(from.invoice_fen)
            .bind(to.invoice_fen)
            .bind(&to.refusal);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

/// The price is wrong in another way than before, or right again.
async fn tell_mismatch(tx: &mut Tx, before: &str, row: &Known) -> Result<(), LedgerError> {
    if !before.is_empty() {
        let reason = format!("the supplier now says {}", row.amounts());
        tx.resolve_finding(FindingType::PriceMismatch, before, "sync_prices", &reason).await?;
    }
    if row.mismatch.is_empty() {
        return Ok(());
    }
    let [invoice, computed] = [row.invoice_fen, row.computed_fen].map(Option::unwrap_or_default);
    let text = format!(
        "The supplier's invoice price of {} is {} yuan, but list price less rebates makes {}: ask which is charged.",
        row.product_code,
        Fen(invoice),
        Fen(computed)
    );
    tx.raise(&NewFinding {
        kind: FindingType::PriceMismatch,
        key: &row.mismatch,
        order_no: None,
        amount_fen: Some(invoice.saturating_sub(computed)),
        text: &text,
        evidence: json!({
            "product_code": row.product_code, "supply_fen": row.supply_fen, "invoice_fen": row.invoice_fen,
            "computed_fen": row.computed_fen, "rebate_rate": row.rebate_rate, "rebate_fen": row.rebate_fen,
        }),
    })
    .await?;
    Ok(())
}

impl Known {
    /// The row after the answer. An answer without amounts says that there is no price now, and the last amounts stay.
    fn after(&self, said: &Price, asked_at: Timestamp) -> Known {
        let mut next = Known {
            asked_at: asked_at.micros(),
            refusal: why_unpriced(said),
            mismatch: String::new(),
            ..self.clone()
        };
        if said.supply.is_some() {
            next.supply_fen = said.supply.map(Fen::get);
            next.invoice_fen = said.invoice.map(Fen::get);
            next.computed_fen = said.invoice_computed.map(Fen::get);
            next.rebate_rate = said.rebate_rate.to_string();
            next.rebate_fen = said.rebate.get();
            next.rebate_policy.clone_from(&said.rebate_policy);
            next.priced_at = asked_at.micros();
        }
        if said.adds_up() == Some(false) {
            let amounts =
                [next.supply_fen, next.invoice_fen, next.computed_fen].map(Option::unwrap_or_default);
            let [supply, invoice, computed] = amounts;
            next.mismatch = format!("{}:{supply}:{invoice}:{computed}", self.product_code);
        }
        if self.moved_to(&next).is_some() {
            next.changed_at = asked_at.micros();
        }
        next
    }

    /// What happened, when the amounts or whether there is a price are other than before.
    fn moved_to(&self, next: &Known) -> Option<Happened> {
        let is_same = (self.supply_fen, self.invoice_fen) == (next.supply_fen, next.invoice_fen);
        let (had, has) = (self.refusal.is_empty(), next.refusal.is_empty());
        let (kind, text) = match (self.asked_at, had, has) {
            (0, ..) if next.supply_fen.is_none() => return None,
            (0, ..) => (CatalogueEvent::PriceMoved, format!("first price: {}", next.amounts())),
            (_, true, false) => (CatalogueEvent::PriceGone, next.refusal.clone()),
            (_, false, true) => (CatalogueEvent::PriceBack, next.amounts()),
            _ if is_same => return None,
            _ => (CatalogueEvent::PriceMoved, format!("{} -> {}", self.amounts(), next.amounts())),
        };
        Some(Happened::new(&self.product_code, kind, text))
    }

    /// In yuan: supply / invoice.
    fn amounts(&self) -> String {
        let yuan = |fen: Option<i64>| fen.map_or_else(|| "none".to_owned(), |fen| Fen(fen).to_string());
        format!("{} / {}", yuan(self.supply_fen), yuan(self.invoice_fen))
    }
}

/// Why the product cannot be had at this price; empty: it can.
pub(crate) fn why_unpriced(price: &Price) -> String {
    match (&price.refusal, price.supply) {
        (Some(text), _) if !text.is_empty() => format!("{text} (no price)"),
        (_, None) => "价格未生效 (no price)".to_owned(),
        _ if !price.is_for_sale => "商品暂不可采 (not procurable)".to_owned(),
        _ => String::new(),
    }
}

//! The story of a product: what happened to it, in words. Append-only.

use sqlx::AssertSqlSafe;

use super::{ROWS_AT_ONCE, rows};
use crate::ledger::{LedgerError, Tx};
use crate::stored::stored_states;

stored_states! {
    /// What happened to a product.
    CatalogueEvent {
        /// An answer held it for the first time.
        Appeared = "appeared",
        LeftSale = "left_sale",
        BackOnSale = "back_on_sale",
        /// Its model, group, brand or pictures are other ones.
        Described = "described",
        PriceMoved = "price_moved",
        PriceGone = "price_gone",
        PriceBack = "price_back",
        /// An answer left it out.
        Unknown = "unknown",
        KnownAgain = "known_again",
    }
}

/// Something that happened to a product just now.
pub(super) struct Happened {
    pub product_code: String,
    pub kind: CatalogueEvent,
    pub text: String,
}

impl Happened {
    pub fn new(product_code: &str, kind: CatalogueEvent, text: impl Into<String>) -> Self {
        Self { product_code: product_code.to_owned(), kind, text: text.into() }
    }
}

pub(super) async fn write(tx: &mut Tx, happened: &[Happened]) -> Result<(), LedgerError> {
    let now = tx.ledger().clock().now().micros();
    for chunk in happened.chunks(ROWS_AT_ONCE) {
        let sql = format!(
            "INSERT INTO catalogue_events (id, product_code, kind, text, at) VALUES {}",
            rows(chunk.len(), 4)
        );
        let ids: Vec<String> = chunk.iter().map(|_| tx.row_id()).collect();
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(now);
        for (id, event) in ids.iter().zip(chunk) {
            query = query.bind(id).bind(&event.product_code).bind(event.kind.as_str()).bind(&event.text);
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

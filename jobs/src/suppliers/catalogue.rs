//! What the supplier sells: products, prices and stock as it last said them, with their time, and what changed.
//!
//! Whoever asks Haier writes the answer down here: the synchronisation and the check of an order alike, so there is one
//! truth. Each `keep_…` compares the answer with what is known, writes what is new, and says how much changed. It takes
//! the rows first, in the order of their keys, so that two who learned the same write its change once. An answer that
//! was asked for earlier than the one that is known changes nothing.
//!
//! No call is made here, and nothing is written for a call that failed: a code that an answer leaves out is unknown, not
//! off sale, and its last good word stays with its time (facts: haier.md 10).

mod events;
mod prices;
mod products;
mod statement;
mod stock;
mod view;

use std::collections::BTreeMap;

pub use events::CatalogueEvent;
pub(crate) use prices::{Prices, keep_prices, why_unpriced};
pub(crate) use products::{keep_products, keep_unknown, retire_products};
pub(crate) use statement::{numbered, rows};
pub(crate) use stock::{forget_stock_changes, keep_stock};
pub use view::{
    BalanceView, EventView, PRODUCT_ROWS_MAX, PriceChange, PriceView, ProductFilter, ProductPage, ProductRow,
    ProductStory, StockChange, StockView, balances, product_story, products,
};

/// Rows of one statement: the codes of one call, and no more parameters than parse fast (design: sql.md, bulk load).
pub(crate) const ROWS_AT_ONCE: usize = 20;

/// What an answer says of each code, in the order of the codes, in which everybody takes the rows; of a code that it
/// names twice, its last word.
fn by_code<'a, T>(said: impl IntoIterator<Item = (&'a str, T)>) -> Vec<T> {
    said.into_iter().collect::<BTreeMap<_, _>>().into_values().collect()
}

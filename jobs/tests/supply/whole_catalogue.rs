//! All of the catalogue, compared with what the outside says that it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use windlass_engine::Timestamp;
use windlass_jobs::suppliers::catalogue::product_story;
use windlass_jobs::suppliers::sync_run::SyncState;
use windlass_jobs::suppliers::{SyncPrices, SyncProducts};
use windlass_sandbox::ProductTruth;
use windlass_testing::{Engine, on_every_engine};

use crate::site::{Site, goods};

on_every_engine! {
    the_whole_catalogue_is_as_the_supplier_has_it_and_every_move_is_kept,
}

/// Code, for sale, list price, invoice price.
type Row = (String, i64, Option<i64>, Option<i64>);

async fn ours(site: &Site) -> BTreeMap<String, Row> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT p.product_code, p.for_sale, q.supply_fen, q.invoice_fen FROM products AS p \
         LEFT JOIN prices AS q ON q.product_code = p.product_code",
    )
    .fetch_all(site.shop.ledger.reads())
    .await
    .expect("read");
    rows.into_iter().map(|row| (row.0.clone(), row)).collect()
}

fn truth(site: &Site, at: Timestamp) -> BTreeMap<String, ProductTruth> {
    site.sandbox.catalogue_at(at).into_iter().map(|truth| (truth.product_code.clone(), truth)).collect()
}

async fn open_mismatches(site: &Site) -> BTreeSet<String> {
    let rows: Vec<(String,)> =
        sqlx::query_as("SELECT key FROM findings WHERE type = 'price_mismatch' AND state = 'open'")
            .fetch_all(site.shop.ledger.reads())
            .await
            .expect("read");
    rows.into_iter().filter_map(|(key,)| Some(key.split_once(':')?.0.to_owned())).collect()
}

async fn sync(site: &Site) {
    for run in [
        site.synced(&SyncProducts { discover: true, codes: vec![] }).await,
        site.synced(&SyncPrices {}).await,
    ] {
        assert_eq!((run.state, run.done, run.failed), (SyncState::Finished, run.chunks, 0), "{run:?}");
    }
}

async fn the_whole_catalogue_is_as_the_supplier_has_it_and_every_move_is_kept(engine: Engine) {
    let products = if engine == Engine::Sqlite { 10_000 } else { 2_000 };
    let mut site = Site::open(engine, goods(products)).await;
    site.work();
    let began = site.clock.now();
    sync(&site).await;

    let (first, known) = (truth(&site, began), ours(&site).await);
    assert_eq!(first.len(), products as usize);
    for (code, is) in &first {
        // What is not for sale is not listed, and nobody has named it yet.
        let ours = known.get(code);
        assert_eq!(ours.is_some(), is.for_sale, "{code}");
        if let Some((_, for_sale, supply, invoice)) = ours {
            assert_eq!((*for_sale, *supply, *invoice), (1, is.supply_fen, is.invoice_fen), "{code}");
        }
    }
    let wrong = |truth: &BTreeMap<String, ProductTruth>| -> BTreeSet<String> {
        truth.values().filter(|is| is.mismatched).map(|is| is.product_code.clone()).collect()
    };
    assert_eq!(
        open_mismatches(&site).await,
        wrong(&first),
        "prices that do not add up are found, and no others"
    );

    // A day and a half later a part of it is other than it was.
    site.clock.advance(Duration::from_secs(36 * 3_600));
    sync(&site).await;
    let (second, known) = (truth(&site, site.clock.now()), ours(&site).await);
    let (mut moved, mut left) = (0, 0);
    for (code, is) in &second {
        let was = &first[code];
        match known.get(code) {
            Some((_, for_sale, supply, invoice)) if is.for_sale => {
                assert_eq!((*for_sale, *supply, *invoice), (1, is.supply_fen, is.invoice_fen), "{code}");
                moved += i64::from(was.for_sale && was.invoice_fen != is.invoice_fen);
            }
            Some((_, for_sale, supply, invoice)) => {
                // It stays, and so does the last good price.
                assert_eq!((*for_sale, *supply, *invoice), (0, was.supply_fen, was.invoice_fen), "{code}");
                left += i64::from(was.for_sale);
            }
            None => assert!(!was.for_sale && !is.for_sale, "{code} is missing"),
        }
    }
    assert!(moved > 100 && left > 0, "{moved} prices moved, {left} left");
    assert_eq!(
        open_mismatches(&site).await,
        wrong(&second).into_iter().filter(|code| known.contains_key(code)).collect()
    );
    let events = |kind: &str| format!("SELECT COUNT(*) AS n FROM catalogue_events WHERE kind = '{kind}'");
    assert_eq!(site.count(&events("left_sale")).await, left);
    assert_eq!(site.count(&events("appeared")).await, known.len() as i64);
    let first_prices = known.len() as i64;
    assert_eq!(site.count(&events("price_moved")).await, first_prices + moved);
    assert_eq!(
        site.count("SELECT COUNT(*) AS n FROM price_changes WHERE invoice_fen_before <> invoice_fen").await,
        moved
    );

    // One of them tells its story.
    let code = second.values().find(|is| {
        is.for_sale && first[&is.product_code].invoice_fen.is_some_and(|fen| Some(fen) != is.invoice_fen)
    });
    let code = &code.expect("one that moved").product_code;
    let story = product_story(&site.shop.ledger, code).await.expect("read").expect("known");
    assert_eq!(story.price_changes[0].invoice_fen_before, first[code].invoice_fen);
    assert_eq!(story.price_changes[0].invoice_fen, second[code].invoice_fen);
    assert_eq!(story.events[0].kind, "price_moved");
    site.rest().await;
}

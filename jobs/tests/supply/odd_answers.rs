//! Answers that the documents do not promise, and calls that fail.

use std::time::Duration;

use serde_json::json;
use windlass_jobs::suppliers::sync_run::{SyncState, failed_chunks};
use windlass_jobs::suppliers::{SyncPrices, SyncProducts, SyncStock};
use windlass_testing::{Engine, on_every_engine};

use crate::site::{Site, all_odd, goods};

on_every_engine! {
    a_code_that_an_answer_leaves_out_is_unknown_and_loses_nothing,
    a_call_that_is_refused_fails_its_chunk_and_changes_nothing,
}

async fn a_code_that_an_answer_leaves_out_is_unknown_and_loses_nothing(engine: Engine) {
    let mut site = Site::open(engine, goods(200)).await;
    site.work();
    for n in 1..=12 {
        site.sell(&format!("SO-{n:04}"), "320106", &[(&format!("FAKE{n:05}"), 1)]).await;
    }
    let all = || SyncProducts { discover: true, codes: vec![] };
    site.synced(&all()).await;
    site.synced(&SyncPrices {}).await;
    site.synced(&SyncStock {}).await;
    let standing = "SELECT CAST(SUM(for_sale) AS BIGINT) AS n FROM products";
    let priced = "SELECT CAST(SUM(invoice_fen) AS BIGINT) AS n FROM prices";
    let pieces = "SELECT CAST(SUM(quantity) AS BIGINT) AS n FROM stock";
    let before = (site.count(standing).await, site.count(priced).await, site.count(pieces).await);
    assert_eq!(before.0, 200);

    site.clock.advance(Duration::from_secs(3_600));
    site.turn(&all_odd()).await;
    site.time_passes(true);
    let products = site.synced(&SyncProducts::default()).await;
    let prices = site.synced(&SyncPrices {}).await;
    let stock = site.synced(&SyncStock {}).await;
    assert!(products.unknown > 0 && prices.unknown > 0, "{products:?} {prices:?}");
    assert_eq!((products.failed, prices.failed, stock.failed), (0, 0, 0));
    let after = (site.count(standing).await, site.count(priced).await, site.count(pieces).await);
    assert_eq!((after.0, after.1), (before.0, before.1), "the last good word stays");
    assert_eq!(
        site.count("SELECT COUNT(*) AS n FROM stock WHERE quantity = 0").await,
        0,
        "no word is not none"
    );
    let unknown = "SELECT COUNT(*) AS n FROM products WHERE unknown_since_at IS NOT NULL";
    assert_eq!(site.count(unknown).await, products.unknown);

    // The next answer is straight, and nothing is unknown any more.
    site.turn(&json!({ "odd_per_mille": 0 })).await;
    site.time_passes(false);
    site.clock.advance(Duration::from_secs(3_600));
    let again = site.synced(&SyncProducts::default()).await;
    assert_eq!((again.unknown, site.count(unknown).await), (0, 0));
    site.rest().await;
}

async fn a_call_that_is_refused_fails_its_chunk_and_changes_nothing(engine: Engine) {
    let mut site = Site::open_for(engine, "8800000099").await;
    site.work();
    let codes: Vec<String> = (1..=21).map(|n| format!("FAKE{n:05}")).collect();
    let run = site.synced(&SyncProducts { discover: true, codes }).await;
    assert_eq!((run.state, run.chunks, run.done, run.failed), (SyncState::Finished, 2, 0, 2), "{run:?}");
    assert!(run.note.contains("does not list"), "{}", run.note);
    let failed = failed_chunks(&site.shop.ledger, &run.run_id, 10).await.expect("read");
    assert!(failed[1].1.contains("customerCode不正确") && failed[1].0.contains("FAKE00021"), "{failed:?}");
    assert_eq!(site.count("SELECT COUNT(*) AS n FROM products").await, 0);
    site.rest().await;
}

//! Which stock is asked for, and what is kept of it.

use std::time::Duration;

use windlass_jobs::Settings;
use windlass_jobs::suppliers::catalogue::product_story;
use windlass_jobs::suppliers::{SyncProducts, SyncStock};
use windlass_testing::{Engine, on_every_engine};

use crate::site::{Site, goods};

on_every_engine! {
    what_sold_most_is_asked_first_and_only_as_much_as_is_allowed,
    counties_that_the_shop_names_are_asked_for_everything_and_moves_are_kept,
}

async fn what_sold_most_is_asked_first_and_only_as_much_as_is_allowed(engine: Engine) {
    let settings = Settings { stock_questions_max: 2, ..Settings::default() };
    let mut site = Site::open_with(engine, goods(200), settings).await;
    site.work();
    site.sell("SO-0001", "320106", &[("FAKE00001", 1), ("FAKE00002", 7)]).await;
    site.sell("SO-0002", "110101", &[("FAKE00003", 3)]).await;
    let run = site.synced(&SyncStock {}).await;
    assert_eq!((run.chunks, run.done), (2, 2));
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT product_code, county_code FROM stock ORDER BY product_code")
            .fetch_all(site.shop.ledger.reads())
            .await
            .expect("read");
    let of = |code: &str, county: &str| (code.to_owned(), county.to_owned());
    assert_eq!(rows, [of("FAKE00002", "320106"), of("FAKE00003", "110101")]);

    // What was just asked for is not asked again; what was left out is next.
    let run = site.synced(&SyncStock {}).await;
    assert_eq!(run.chunks, 1);
    assert_eq!(site.count("SELECT COUNT(*) AS n FROM stock WHERE product_code = 'FAKE00001'").await, 1);
    site.clock.advance(Duration::from_secs(site.shop.settings.stock_sold_within_s + 1));
    assert_eq!(site.synced(&SyncStock {}).await.chunks, 0, "that was long ago");
    site.rest().await;
}

async fn counties_that_the_shop_names_are_asked_for_everything_and_moves_are_kept(engine: Engine) {
    let counties = vec!["320106".to_owned(), "110101".to_owned()];
    let settings = Settings { ship_counties: counties, ..Settings::default() };
    let mut site = Site::open_with(engine, goods(300), settings).await;
    site.work();
    site.synced(&SyncProducts { discover: true, codes: vec![] }).await;
    let for_sale = site.count("SELECT COUNT(*) AS n FROM products WHERE for_sale = 1").await;
    let began = site.clock.now();
    let run = site.synced(&SyncStock {}).await;
    assert_eq!((run.chunks, run.changed), (2 * for_sale, 2 * for_sale));
    site.clock.advance(Duration::from_secs(2 * 3_600));
    let run = site.synced(&SyncStock {}).await;
    assert!((1..=2 * for_sale).contains(&run.changed), "{run:?}");

    let story = product_story(&site.shop.ledger, "FAKE00299").await.expect("read").expect("known");
    assert_eq!(story.stock.len(), 2);
    for stock in &story.stock {
        let truth = |at| site.sandbox.stock_at("FAKE00299", &stock.county_code, at) as i64;
        assert_eq!(stock.quantity, truth(site.clock.now()));
        let moves: Vec<_> =
            story.stock_changes.iter().filter(|change| change.county_code == stock.county_code).collect();
        assert_eq!(moves.len(), 2, "{moves:?}");
        assert_eq!((moves[1].quantity_before, moves[1].quantity), (None, truth(began)));
        assert_eq!((moves[0].quantity_before, moves[0].quantity), (Some(truth(began)), stock.quantity));
    }

    // History is bounded by its age.
    site.clock.advance(Duration::from_secs(site.shop.settings.stock_changes_kept_s));
    site.synced(&SyncStock {}).await;
    let old = site.clock.now() - Duration::from_secs(site.shop.settings.stock_changes_kept_s);
    let older = format!("SELECT COUNT(*) AS n FROM stock_changes WHERE at < {}", old.micros());
    assert_eq!(site.count(&older).await, 0);
    site.rest().await;
}

//! What is left on the payer accounts.

use std::time::Duration;

use serde_json::json;
use windlass_jobs::Settings;
use windlass_jobs::suppliers::CheckSupplierBalance;
use windlass_jobs::suppliers::catalogue::balances;
use windlass_sandbox::Goods;
use windlass_testing::{Engine, on_every_engine};

use crate::site::Site;

on_every_engine! {
    a_low_balance_is_one_finding_for_each_time_that_it_falls,
}

async fn a_low_balance_is_one_finding_for_each_time_that_it_falls(engine: Engine) {
    let goods = Goods { balance_fen: Some(20_000_000), ..Goods::default() };
    let settings = Settings {
        balance_low_fen: 10_000_000,
        balance_low_fen_by_account: [("8800000002".to_owned(), 20_000_001)].into(),
        ..Settings::default()
    };
    let mut site = Site::open_with(engine, goods, settings).await;
    site.work();
    let mut low = Vec::new();
    let open = "SELECT COUNT(*) AS n FROM findings WHERE type = 'balance_low' AND state = 'open'";
    let all = "SELECT COUNT(*) AS n FROM findings WHERE type = 'balance_low'";
    // In and out of the first account; the second is low by a bound of its own all along.
    for pay_in_fen in [0, -10_000_001, 0, 5_000_000, -9_000_000] {
        site.turn(&json!({ "pay_in_fen": pay_in_fen })).await;
        site.clock.advance(Duration::from_secs(3_600));
        site.run(&CheckSupplierBalance {}).await.expect("read");
        low.push((site.count(open).await, site.count(all).await));
    }
    assert_eq!(low, [(1, 1), (2, 2), (2, 2), (1, 2), (2, 3)]);
    let ours = balances(&site.shop.ledger).await.expect("read");
    let ours: Vec<_> = ours.iter().map(|row| (row.balance_fen, !row.low.is_empty())).collect();
    assert_eq!(ours, [(20_000_000 - 14_000_001, true), (20_000_000, true)]);
    assert_eq!(site.count("SELECT COUNT(*) AS n FROM supplier_balance_readings").await, 10);
    site.rest().await;
}

//! The world survives the end of its process.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use windlass_sandbox::{Callbacks, Truth};

use crate::shop::Shop;
use crate::ylh;

/// A world with something of everything that can be half done.
async fn busy_world(journal: &std::path::Path) -> (Shop, Truth) {
    let shop = Shop::open_with(|config| config.journal = Some(journal.to_owned())).await;
    for nth in 0..5 {
        shop.check_out(&format!("T1000{nth}"), 1000, (nth < 4).then_some(nth)).await;
        ylh::create(&shop, &ylh::order(&format!("P{nth}"), if nth == 3 { "FAIL1" } else { "FAKE1" })).await;
    }
    ylh::cancel(&shop, "P4").await;
    shop.clock.advance(Duration::from_secs(120));
    shop.until(|truth| truth.payments.paid == 4 && truth.callbacks.owed == truth.callbacks.tries).await;
    let truth = shop.truth().await;
    (shop, truth)
}

async fn again(shop: Shop, journal: &std::path::Path) -> Shop {
    let clock = shop.clock.clone();
    shop.sandbox.stop().await;
    Shop::open_with(|config| {
        config.journal = Some(journal.to_owned());
        config.clock = clock;
        config.callbacks = Callbacks::default();
    })
    .await
}

#[tokio::test]
async fn the_world_after_a_restart_is_the_world_before() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, before) = busy_world(&journal).await;
    assert!(before.orders.accepted == 5 && before.callbacks.taken >= 4, "{before:?}");
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, before);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_what_follows_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, before) = busy_world(&journal).await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(br#"{"at":1767585600000000,"fact":"payment_closed","out_tr"#).unwrap();
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, before);
    shop.check_out("T20001", 1000, None).await;
    let grown = shop.truth().await;
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, grown);
}

#[tokio::test]
async fn a_broken_line_in_the_middle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    std::fs::write(&journal, "no event\n{}\n").unwrap();
    let clock = windlass_engine::Clock::by_hand(crate::shop::NOON);
    let mut config = windlass_sandbox::Config::new(clock, 7);
    config.journal = Some(journal);
    let error = windlass_sandbox::start(config).await.err().unwrap();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[tokio::test]
async fn what_was_still_to_happen_happens_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, _) = busy_world(&journal).await;
    let shop = again(shop, &journal).await;
    shop.sandbox.call_back_to(shop.desk.callbacks());
    let hour = Duration::from_secs(3600);
    let truth = shop.in_time(hour, |truth| truth.orders.delivered + truth.orders.cancelled == 4).await;
    shop.until(|truth| truth.callbacks.owed == truth.callbacks.taken).await;
    assert_eq!((truth.orders.refused, truth.keys.unwrap().orders["P4"].cancel_pending), (1, false));
    let asked = json!({"faults": "some"});
    let dial =
        shop.http.post(format!("{}/control/faults", shop.at().control)).json(&asked).send().await.unwrap();
    assert_eq!(crate::shop::json_of(dial).await, asked);
}

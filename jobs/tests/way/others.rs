//! Orders that another program hands in through the outbox, in a transaction of its own.

use windlass_jobs::orders::{FulfilOrder, OrderState};
use windlass_servers::psql;
use windlass_testing::Engine;

use crate::town::{Town, order};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_inserted_by_hand_goes_all_the_way() {
    let town = Town::calm(Engine::Postgres).await;
    let order = order("SO-9001", &["FAKE00001"]);
    town.check_out(&order, Some(10)).await;
    let payload = serde_json::to_string(&FulfilOrder { order }).expect("plain data");
    let insert = |payload: &str| {
        format!(
            "INSERT INTO outbox (id, kind, payload) VALUES ('shop-9001', 'fulfil_order', $json${payload}$json$)"
        )
    };
    psql(
        &town.ground.ledger,
        &format!("BEGIN; {}; ROLLBACK", insert("no job of a transaction that was undone")),
    );
    psql(&town.ground.ledger, &format!("BEGIN; {}; COMMIT", insert(&payload)));
    town.until("SO-9001", OrderState::Completed).await;
    town.until_ended(1).await;
    let left = "SELECT COUNT(*) FROM outbox WHERE id = 'shop-9001' AND state <> 'live'";
    assert_eq!(psql(&town.ground.ledger, left), "0");
    town.assert_books_agree().await;
}

//! The catalogue and the gates through the door.

use reqwest::Method;
use serde_json::json;
use windlass_engine::Timestamp;

use crate::support::{Answer, TestDoor};

async fn write(door: &TestDoor, sql: &'static str) {
    let mut tx = door.ledger.begin().await.unwrap();
    sqlx::query(sql).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn patch(door: &TestDoor, queue: &str, body: &serde_json::Value) -> Answer {
    Answer::of(door.request(Method::PATCH, &format!("/v1/queues/{queue}")).json(body)).await
}

#[tokio::test]
async fn a_gate_is_set_told_and_noted_and_what_is_not_named_stays() {
    let door = TestDoor::open().await;
    let rate = json!({"jobs": 20, "per_ms": 1_000, "burst": 5});
    let set = patch(&door, "parcels", &json!({"rate": rate, "concurrency_max": 3})).await;
    assert_eq!((set.status, &set.json()["rules"]["rate"]), (200, &rate));
    let set = patch(&door, "parcels", &json!({"concurrency_max": null, "backlog_max": 9})).await.json();
    assert_eq!((&set["rules"]["rate"], &set["rules"]["concurrency_max"]), (&rate, &json!(null)));
    assert_eq!(set["rules"]["backlog_max"], 9);
    let refused = patch(&door, "parcels", &json!({"rate": {"jobs": 0, "per_ms": 0}})).await;
    assert_eq!((refused.status, refused.problem().as_str()), (422, "invalid-request"));
    assert_eq!(patch(&door, "cellar", &json!({})).await.problem(), "no-such-queue");

    let noted: Vec<(String, String)> =
        sqlx::query_as("SELECT what, detail FROM audit_log WHERE about = 'parcels' ORDER BY id")
            .fetch_all(door.ledger.reads())
            .await
            .unwrap();
    assert_eq!(noted.len(), 2);
    assert!(noted[0].0 == "queue.set" && noted[0].1.contains("\"jobs\":20"), "{noted:?}");
}

#[tokio::test]
async fn products_are_listed_page_by_page_and_one_tells_its_story() {
    let door = TestDoor::open().await;
    let empty = door.get("/v1/products").await.json();
    assert_eq!((&empty["products"], &empty["cursor"]), (&json!([]), &json!(null)));
    assert_eq!(door.get("/v1/products/F1").await.problem(), "no-such-product");
    write(
        &door,
        "INSERT INTO products (product_code, model, brand, for_sale, refusal, first_seen_at, last_seen_at) \
         VALUES ('F1', 'M1', 'B', 1, '', 1000000, 2000000), ('F2', 'M2', 'B', 0, 'gone', 1000000, 2000000), \
         ('F3', 'M3', 'C', 1, '', 1000000, 2000000)",
    )
    .await;
    write(&door, "INSERT INTO prices (product_code, supply_fen, invoice_fen, asked_at) VALUES ('F1', 100, 90, 2000000)")
        .await;
    let page = door.get("/v1/products?limit=2").await.json();
    assert_eq!((&page["products"][0]["invoice_fen"], &page["cursor"]), (&json!(90), &json!("F2")));
    let rest = door.get("/v1/products?limit=2&cursor=F2").await.json();
    assert_eq!((&rest["products"][0]["product_code"], &rest["cursor"]), (&json!("F3"), &json!(null)));
    let off = door.get("/v1/products?for_sale=false&brand=B").await.json();
    assert_eq!(
        (off["products"].as_array().unwrap().len(), &off["products"][0]["refusal"]),
        (1, &json!("gone"))
    );
    assert_eq!(door.get("/v1/products?limit=0").await.status, 422);

    let story = door.get("/v1/products/F1").await.json();
    assert_eq!(story["price"]["supply_fen"], 100);
    assert_eq!(story["product"]["last_seen_at"], Timestamp::from_secs(2).to_rfc3339());
}

#[tokio::test]
async fn synchronisations_are_listed_the_newest_first_with_what_was_given_up() {
    let door = TestDoor::open().await;
    write(
        &door,
        "INSERT INTO sync_runs (run_id, kind, state, started_at, chunks, done, failed, codes) \
         VALUES ('prices:a', 'prices', 'finished', 1000000, 2, 1, 1, 40), \
         ('stock:b', 'stock', 'running', 2000000, 5, 1, 0, 5)",
    )
    .await;
    write(
        &door,
        "INSERT INTO sync_chunks (run_id, chunk_no, codes, state, error) \
         VALUES ('prices:a', 1, '[\"F1\"]', 'failed', 'refused')",
    )
    .await;
    let page = door.get("/v1/sync-runs?limit=1").await.json();
    assert_eq!(page["runs"][0]["run_id"], "stock:b");
    let next = format!("/v1/sync-runs?limit=1&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(door.get(&next).await.json()["runs"][0]["run_id"], "prices:a");
    let prices = door.get("/v1/sync-runs?kind=prices").await.json();
    assert_eq!(prices["runs"].as_array().unwrap().len(), 1);
    assert_eq!(door.get("/v1/sync-runs?kind=gold").await.status, 422);
    let run = door.get("/v1/sync-runs/prices:a").await.json();
    assert_eq!(run["given_up"], json!([{"codes": ["F1"], "error": "refused"}]));
    assert_eq!(door.get("/v1/sync-runs/prices:z").await.problem(), "no-such-sync-run");
    assert_eq!(door.get("/v1/supplier-balances").await.json(), json!({"balances": []}));
}

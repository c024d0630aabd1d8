//! Webhook endpoints through the door.

use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestDoor};

const URL: &str = "https://crm.shop.example/windlass";

async fn made(door: &TestDoor) -> Value {
    let answer = door.post("/v1/webhooks", &json!({ "url": URL, "types": ["order.*"] })).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

async fn patch(door: &TestDoor, path: &str, body: &Value) -> Answer {
    Answer::of(door.request(Method::PATCH, path).json(body)).await
}

#[tokio::test]
async fn an_endpoint_is_made_shown_and_taken_away_and_its_secret_shown_once() {
    let door = TestDoor::open().await;
    let mut endpoint = made(&door).await;
    let (id, secret) = (endpoint["id"].as_str().unwrap().to_owned(), endpoint["secret"].clone());
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    endpoint["id"] = json!("we_…");
    endpoint["secret"] = json!("whsec_…");
    assert_json_snapshot!(endpoint, @r#"
    {
      "changed_at": "2026-01-05T04:00:00.000Z",
      "created_at": "2026-01-05T04:00:00.000Z",
      "delivered_at": null,
      "description": "",
      "failing_since_at": null,
      "failures": 0,
      "id": "we_…",
      "old_secret_ends_at": null,
      "reason": "",
      "rests_until_at": null,
      "secret": "whsec_…",
      "state": "enabled",
      "types": [
        "order.*"
      ],
      "url": "https://crm.shop.example/windlass"
    }
    "#);
    let path = format!("/v1/webhooks/{id}");
    for text in [door.get(&path).await.text, door.get("/v1/webhooks").await.text] {
        assert!(text.contains(URL) && !text.contains("whsec_"), "{text}");
    }
    let rotated = door.post(&format!("{path}/rotate"), &json!({})).await.json();
    assert!(rotated["secret"] != secret && rotated["old_secret_ends_at"] == "2026-01-06T04:00:00.000Z");
    let deleted = Answer::of(door.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(door.get(&path).await.problem(), "no-such-webhook");
}

#[tokio::test]
async fn an_endpoint_moves_and_keeps_all_but_its_address() {
    let door = TestDoor::open().await;
    let before = made(&door).await;
    let path = format!("/v1/webhooks/{}", before["id"].as_str().unwrap());
    door.post(&format!("{path}/disable"), &json!({})).await;
    let elsewhere = "https://erp.shop.example/windlass";
    let moved = patch(&door, &path, &json!({ "url": elsewhere })).await;
    assert_eq!((moved.status, &moved.json()["url"]), (200, &json!(elsewhere)), "{}", moved.text);
    assert_eq!(moved.json(), door.get(&path).await.json(), "and no secret is shown");
    for kept in ["id", "types", "description", "created_at"] {
        assert_eq!(moved.json()[kept], before[kept], "{kept}");
    }
    assert_eq!(moved.json()["state"], "disabled", "a move switches nothing on");
    let audited: (String, String) =
        sqlx::query_as("SELECT who, detail FROM audit_log WHERE what = 'webhook.relocate'")
            .fetch_one(door.ledger.reads())
            .await
            .unwrap();
    assert_eq!(audited, ("api".to_owned(), elsewhere.to_owned()));
}

#[tokio::test]
async fn a_move_to_nowhere_is_refused_and_the_address_stays() {
    let door = TestDoor::open().await;
    let path = format!("/v1/webhooks/{}", made(&door).await["id"].as_str().unwrap());
    for (body, place, word) in [
        (json!({}), "/url", "is missing"),
        (json!({ "url": null }), "/url", "is missing"),
        (json!({ "url": 1 }), "/url", "string"),
        (json!({ "url": "ftp://erp.shop.example/" }), "/url", "https://"),
        (json!({ "url": "https://user:pw@erp.shop.example/" }), "/url", "user or password"),
        (json!({ "url": "https://erp.shop.example/", "types": [] }), "/types", "there are url"),
    ] {
        let answer = patch(&door, &path, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, "invalid-request"), "{body}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["pointer"], place, "{body}");
        assert!(error["message"].as_str().unwrap().contains(word), "{body}: {error}");
    }
    let nobody = patch(&door, "/v1/webhooks/we_none", &json!({ "url": URL })).await;
    assert_eq!((nobody.status, nobody.problem().as_str()), (404, "no-such-webhook"));
    assert_eq!(door.get(&path).await.json()["url"], URL);
}

#[tokio::test]
async fn a_test_is_sent_and_stands_in_the_log() {
    let door = TestDoor::open().await;
    let id = made(&door).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhooks/{id}");
    let sent = door.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let log = door.get(&format!("{path}/deliveries?state=queued")).await.json();
    assert_eq!(log["deliveries"][0]["message"], sent.json()["message"]);
    assert_eq!(log["deliveries"][0]["type"], "webhook.test");
    let message = sent.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(door.get(&format!("{path}/deliveries/{message}")).await.json()["tries"], json!([]));

    let off = door.post(&format!("{path}/disable"), &json!({})).await.json();
    assert_eq!((&off["state"], &off["reason"]), (&json!("disabled"), &json!("by api")));
    assert_eq!(door.post(&format!("{path}/test"), &json!({})).await.problem(), "not-now");
    assert_eq!(door.post(&format!("{path}/enable"), &json!({})).await.json()["state"], "enabled");
    let again = door.post(&format!("{path}/redeliver"), &json!({ "since": "2026-01-05T00:00:00Z" })).await;
    assert_eq!((again.status, again.json()), (202, json!({ "redelivered": 1 })));
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_its_place() {
    let door = TestDoor::open().await;
    let bad = json!({ "url": "https://user:pw@crm.shop.example/", "types": ["order.eaten"], "colour": 1 });
    let answer = door.post("/v1/webhooks", &bad).await;
    assert_eq!((answer.status, answer.json()["errors"][0]["pointer"].clone()), (422, json!("/colour")));
    let bad = json!({ "url": "https://user:pw@crm.shop.example/", "types": ["order.eaten"] });
    let errors = door.post("/v1/webhooks", &bad).await.json()["errors"].clone();
    let pointers: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("/url"), json!("/types/0")]);
    assert_eq!(door.post("/v1/webhooks", &json!({})).await.json()["errors"][0]["pointer"], "/url");
    let id = made(&door).await["id"].as_str().unwrap().to_owned();
    for body in [
        json!({}),
        json!({ "since": "yesterday" }),
        json!({ "message": "m", "since": "2026-01-05T00:00:00Z" }),
    ] {
        let answer = door.post(&format!("/v1/webhooks/{id}/redeliver"), &body).await;
        assert_eq!(answer.problem(), "invalid-request", "{body}");
    }
    assert_eq!(door.get(&format!("/v1/webhooks/{id}/deliveries?state=gone&limit=0")).await.status, 422);
    assert_eq!(door.post("/v1/webhooks/we_none/enable", &json!({})).await.status, 404);
}

//! Receivers of webhooks, sent to with signatures made here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use crate::shop::{Shop, json_of};

const KEY: &[u8] = b"a key of twenty-four bytes or more";

struct Sender<'a>(&'a Shop);

impl Sender<'_> {
    async fn tell(&self, manner: Value) {
        let url = format!("{}/control/webhooks/crm", self.0.at().control);
        assert_eq!(self.0.http.post(url).json(&manner).send().await.unwrap().status(), 200);
    }

    async fn send(&self, id: &str, at_s: i64, body: &str) -> u16 {
        let signed =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), format!("{id}.{at_s}.{body}").as_bytes());
        let request = self
            .0
            .http
            .post(format!("{}/webhooks/crm", self.0.at().control))
            .header("webhook-id", id)
            .header("webhook-timestamp", at_s.to_string())
            .header("webhook-signature", format!("v1,{}", STANDARD.encode(signed)))
            .body(body.to_owned());
        request.send().await.map_or(0, |answer| answer.status().as_u16())
    }

    async fn came(&self) -> Value {
        let url = format!("{}/webhooks/crm", self.0.at().control);
        json_of(self.0.http.get(url).send().await.unwrap()).await
    }
}

/// A receiver looks at the wall's clock, not at the shop's.
fn now(shop: &Shop) -> i64 {
    shop.clock.wall().secs()
}

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

#[tokio::test]
async fn a_receiver_believes_what_is_signed_and_counts_it_by_its_id() {
    let shop = Shop::open().await;
    let sender = Sender(&shop);
    assert_eq!(sender.send("msg_1", now(&shop), "{}").await, 404, "nobody has that name yet");
    sender.tell(json!({ "secrets": [secret()] })).await;
    assert_eq!(sender.send("msg_1", now(&shop), "{}").await, 204);
    assert_eq!(sender.send("msg_1", now(&shop), "{}").await, 204);
    assert_eq!(shop.effect("webhook.post").await, (1, 0), "twice the same is not doubled");
    assert_eq!(sender.send("msg_2", now(&shop) - 301, "{}").await, 401, "a replay");
    assert_eq!(sender.send("msg_1", now(&shop), r#"{"other":1}"#).await, 204);
    assert_eq!(shop.effect("webhook.post").await, (1, 1), "one id with two contents is");
    let came = sender.came().await;
    assert_eq!((came["taken"].as_array().unwrap().len(), came["refused"].as_array().unwrap().len()), (3, 1));
    assert_eq!(came["refused"][0]["why"], "the timestamp is too far from now");
}

#[tokio::test]
async fn a_receiver_behaves_as_it_is_told_and_takes_nothing_meanwhile() {
    let shop = Shop::open().await;
    let sender = Sender(&shop);
    sender.tell(json!({ "secrets": [secret()], "status": 500, "times": 2 })).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(sender.send("msg_1", now(&shop), "{}").await);
    }
    assert_eq!(answers, [500, 500, 204]);
    sender.tell(json!({ "status": 410 })).await;
    assert_eq!(sender.send("msg_2", now(&shop), "{}").await, 410);
    assert_eq!(shop.effect("webhook.post").await, (1, 0));
}

#[tokio::test]
async fn in_a_storm_some_are_taken_without_a_word() {
    let shop = Shop::open_with(|config| {
        config.faults = windlass_sandbox::Faults::Storm;
        config.no_answer = std::time::Duration::from_millis(5);
    })
    .await;
    let sender = Sender(&shop);
    sender.tell(json!({ "secrets": [secret()] })).await;
    let mut taken = 0;
    for nth in 0..80 {
        taken += u64::from(sender.send(&format!("msg_{nth}"), now(&shop), "{}").await == 204);
    }
    let (really, doubled) = shop.effect("webhook.post").await;
    assert!(taken < really && really < 80 && doubled == 0, "{taken} {really}");
}

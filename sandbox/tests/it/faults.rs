//! The fault dial, as a client feels it.

use std::time::Duration;

use serde_json::json;
use windlass_sandbox::Faults;

use crate::shop::{Shop, json_of};
use crate::ylh;

/// What became of one call.
async fn try_create(shop: &Shop, so_id: &str, token: &str) -> String {
    let url = format!("{}/api/page/hmm/retailorder/receive-hmm-retail-order", shop.at().ylh_order);
    let request = shop.http.post(url).header("authorization", token).json(&ylh::order(so_id, "FAKE1"));
    match request.send().await {
        Err(_) => "nothing".to_owned(),
        Ok(answer) => {
            let status = answer.status().as_u16();
            match answer.text().await {
                Ok(body) => format!("{status} {}", body.chars().take(60).collect::<String>()),
                Err(_) => format!("{status} torn"),
            }
        }
    }
}

async fn stormy() -> (Shop, String) {
    let shop = Shop::open_with(|config| config.no_answer = Duration::from_millis(20)).await;
    let token = ylh::token(&shop).await;
    shop.sandbox.set_faults(Faults::Storm);
    (shop, token)
}

#[tokio::test]
async fn a_storm_is_the_same_storm_for_the_same_seed() {
    let mut storms = Vec::new();
    for forward in [true, false] {
        let (shop, token) = stormy().await;
        let mut numbers: Vec<u32> = (0..60).collect();
        if !forward {
            numbers.reverse();
        }
        let mut met = Vec::new();
        for number in numbers {
            met.push((number, try_create(&shop, &format!("P{number}"), &token).await));
        }
        met.sort();
        storms.push(met);
    }
    assert_eq!(storms[0], storms[1]);
    let kinds: std::collections::HashSet<&String> = storms[0].iter().map(|(_, met)| met).collect();
    for kind in ["nothing", "200 torn", "429 ", "503 ", "500 ", "401 ", "200 <html>"] {
        assert!(kinds.iter().any(|met| met.starts_with(kind)), "no {kind:?} in {kinds:?}");
    }
}

#[tokio::test]
async fn who_keeps_asking_gets_through_and_the_effect_is_had_once() {
    let (shop, token) = stormy().await;
    for number in 0..40 {
        let mut tries = 0;
        loop {
            let met = try_create(&shop, &format!("P{number}"), &token).await;
            // A gateway page is no answer either, and `data:false` is neither yes nor no.
            if met.contains("DUPLICATE") || met.contains(r#""data":true"#) {
                break;
            }
            tries += 1;
            assert!(tries <= 3, "P{number} met a fourth fault: {met}");
        }
    }
    assert_eq!(shop.effect("ylh.create").await, (40, 0));
}

#[tokio::test]
async fn callbacks_arrive_in_a_storm_too() {
    let (shop, _) = stormy().await;
    shop.sandbox.set_faults(Faults::Storm);
    let many: Vec<_> = (0..60)
        .map(
            |n| json!({"out_trade_no": format!("T{n:06}"), "total_fen": 1, "openid": "o", "pays_after_s": 1}),
        )
        .collect();
    let url = format!("{}/control/payments", shop.at().control);
    assert_eq!(json_of(shop.http.post(&url).json(&many).send().await.unwrap()).await["offered"], 60);
    assert_eq!(json_of(shop.http.post(&url).json(&many).send().await.unwrap()).await["offered"], 0);
    shop.clock.advance(Duration::from_secs(1));
    shop.until(|truth| truth.payments.paid == 60).await;
    shop.in_time(Duration::from_secs(600), |truth| truth.callbacks.taken == 60).await;
    let unsigned = shop
        .desk
        .taken("/pay")
        .iter()
        .filter(|taken| !taken.headers.contains_key("wechatpay-signature"))
        .count();
    assert!(unsigned > 0 && shop.desk.taken("/pay").len() > 60);
}

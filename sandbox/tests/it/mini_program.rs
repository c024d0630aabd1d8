//! facts: wechat-mini-program.md

use std::time::Duration;

use serde_json::{Value, json};

use crate::shop::{Shop, json_of};

const UPLOAD: &str = "/wxa/sec/order/upload_shipping_info";
const SEND: &str = "/cgi-bin/message/subscribe/send";

async fn token(shop: &Shop, force: bool) -> Value {
    let is = &shop.is.mini_program;
    let body = json!({"grant_type": "client_credential", "appid": is.appid, "secret": is.secret, "force_refresh": force});
    let url = format!("{}/cgi-bin/stable_token", shop.at().mini_program);
    json_of(shop.http.post(url).json(&body).send().await.unwrap()).await
}

async fn call(shop: &Shop, path: &str, token: &str, body: &Value) -> Value {
    let url = format!("{}{path}?access_token={token}", shop.at().mini_program);
    json_of(shop.http.post(url).json(body).send().await.unwrap()).await
}

fn shipping(tracking_no: &str, minute: u32) -> Value {
    json!({"order_key": {"order_number_type": 1, "mchid": "1900000001", "out_trade_no": "T10001"},
        "logistics_type": 1, "delivery_mode": 1,
        "shipping_list": [{"tracking_no": tracking_no, "express_company": "ZTO", "item_desc": "测试冰箱*1"}],
        "upload_time": format!("2026-01-06T09:{minute:02}:00.120+08:00"), "payer": {"openid": "oTEST"}})
}

fn message(shop: &Shop, order_no: &str) -> Value {
    let template =
        shop.is.mini_program.templates.iter().find(|template| template.purpose == "order_shipped").unwrap();
    json!({"touser": "oTEST", "template_id": template.id, "miniprogram_state": "formal", "lang": "zh_CN", "data": {
        "character_string1": {"value": order_no}, "thing2": {"value": "测试冰箱"}, "thing3": {"value": "顺丰"},
        "character_string4": {"value": "SF1"}, "time5": {"value": "2026年1月5日 10:00"}}})
}

#[tokio::test]
async fn the_token_is_the_same_until_it_nears_its_end() {
    let shop = Shop::open().await;
    let first = token(&shop, false).await;
    assert_eq!(first["expires_in"], 7200);
    assert_eq!(token(&shop, false).await["access_token"], first["access_token"]);
    shop.clock.advance(Duration::from_secs(6950));
    let next = token(&shop, false).await;
    assert_ne!(next["access_token"], first["access_token"]);
    let ask = json!({"transaction_id": "1"});
    let with = async |token: &Value| {
        call(&shop, "/wxa/sec/order/get_order", token["access_token"].as_str().unwrap(), &ask).await["errcode"].clone()
    };
    assert_eq!((with(&first).await, with(&next).await), (json!(10_060_001), json!(10_060_001)));
    shop.clock.advance(Duration::from_secs(251));
    assert_eq!(with(&first).await, 42001);

    let forced = token(&shop, true).await;
    assert_eq!((with(&next).await, with(&forced).await), (json!(40001), json!(10_060_001)));
    assert_eq!(token(&shop, true).await["access_token"], forced["access_token"], "30 s apart at least");
    assert_eq!(with(&json!({"access_token": ""})).await, 41001);
}

#[tokio::test]
async fn shipping_is_uploaded_once_and_corrected_once() {
    let shop = Shop::open().await;
    let token = token(&shop, false).await["access_token"].as_str().unwrap().to_owned();
    let upload = async |body: &Value| call(&shop, UPLOAD, &token, body).await["errcode"].as_i64().unwrap();
    assert_eq!(upload(&shipping("ZTO1", 0)).await, 10_060_001);
    shop.be_paid("T10001", 1000).await;
    assert_eq!(upload(&shipping("ZTO1", 0)).await, 0);
    assert_eq!(upload(&shipping("ZTO1", 1)).await, 10_060_023);
    let mut other = shipping("ZTO1", 2);
    other["payer"]["openid"] = json!("oOTHER");
    assert_eq!(upload(&other).await, 10_060_031);

    let ask = json!({"merchant_id": "1900000001", "merchant_trade_no": "T10001"});
    let order = call(&shop, "/wxa/sec/order/get_order", &token, &ask).await["order"].clone();
    assert_eq!(
        (&order["order_state"], &order["shipping"]["shipping_list"][0]["tracking_no"]),
        (&json!(2), &json!("ZTO1"))
    );
    assert_eq!(shop.effect("mini.upload_shipping").await, (1, 0));

    assert_eq!(upload(&shipping("ZTO2", 3)).await, 0);
    assert_eq!(shop.effect("mini.upload_shipping").await, (1, 1));
    assert_eq!(upload(&shipping("ZTO3", 4)).await, 10_060_003);
}

#[tokio::test]
async fn a_split_shipment_is_finished_by_its_last_parcel() {
    let shop = Shop::open().await;
    let token = token(&shop, false).await["access_token"].as_str().unwrap().to_owned();
    shop.be_paid("T10001", 1000).await;
    for (nth, last) in [(1, false), (2, true)] {
        let mut body = shipping(&format!("ZTO{nth}"), nth);
        body["delivery_mode"] = json!(2);
        assert_eq!(call(&shop, UPLOAD, &token, &body).await["errcode"], 10_060_007);
        body["is_all_delivered"] = json!(last);
        assert_eq!(call(&shop, UPLOAD, &token, &body).await["errcode"], 0);
    }
    let ask = json!({"merchant_id": "1900000001", "merchant_trade_no": "T10001"});
    let shipping = call(&shop, "/wxa/sec/order/get_order", &token, &ask).await["order"]["shipping"].clone();
    assert_eq!(
        (shipping["shipping_list"].as_array().unwrap().len(), &shipping["finish_shipping_count"]),
        (2, &json!(1))
    );
    assert_eq!(shop.effect("mini.upload_shipping").await, (1, 0));
}

#[tokio::test]
async fn a_message_must_fit_its_template_and_is_doubled_when_it_is_sent_twice() {
    let shop = Shop::open().await;
    let token = token(&shop, false).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(call(&shop, SEND, &token, &message(&shop, "T1")).await["errcode"], 0);
    let mut long = message(&shop, "T1");
    long["data"]["thing2"]["value"] = json!("冰".repeat(21));
    assert_eq!(call(&shop, SEND, &token, &long).await["errcode"], 47003);
    let mut missing = message(&shop, "T1");
    missing["data"].as_object_mut().unwrap().remove("time5");
    assert!(
        call(&shop, SEND, &token, &missing).await["errmsg"]
            .as_str()
            .unwrap()
            .starts_with("argument invalid! data.time5.value is empty")
    );
    let mut refused = message(&shop, "T1");
    refused["touser"] = json!("oREFUSED1");
    assert_eq!(call(&shop, SEND, &token, &refused).await["errcode"], 43101);
    assert_eq!(shop.effect("mini.subscribe_send").await, (1, 0));
    call(&shop, SEND, &token, &message(&shop, "T2")).await;
    assert_eq!(shop.effect("mini.subscribe_send").await, (2, 0));
    call(&shop, SEND, &token, &message(&shop, "T2")).await;
    assert_eq!(shop.effect("mini.subscribe_send").await, (2, 1));
}

#[tokio::test]
async fn a_list_tells_page_by_page_what_was_paid_when_and_how_far_it_is() {
    let shop = Shop::open().await;
    for nth in 1..=3 {
        shop.be_paid(&format!("T1000{nth}"), 129_999).await;
        shop.clock.advance(Duration::from_secs(3_600));
    }
    shop.check_out("T10009", 100, None).await;
    let token = token(&shop, false).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(call(&shop, UPLOAD, &token, &shipping("ZTO1", 1)).await["errcode"], 0);
    let list = async |body: Value| call(&shop, "/wxa/sec/order/get_order_list", &token, &body).await;
    let numbers = |page: &Value| -> Vec<String> {
        let rows = page["order_list"].as_array().unwrap();
        rows.iter().map(|row| row["merchant_trade_no"].as_str().unwrap().to_owned()).collect()
    };

    let first = list(json!({"page_size": 2})).await;
    assert_eq!((numbers(&first), &first["has_more"]), (vec!["T10001".into(), "T10002".into()], &json!(true)));
    let last = list(json!({"page_size": 2, "last_index": first["last_index"]})).await;
    assert_eq!((numbers(&last), &last["has_more"]), (vec!["T10003".into()], &json!(false)));
    let noon = crate::shop::NOON.secs();
    let hour = list(json!({"pay_time_range": {"begin_time": noon + 3_600, "end_time": noon + 7_199}})).await;
    assert_eq!(numbers(&hour), ["T10002"]);
    assert_eq!(numbers(&list(json!({"order_state": 2})).await), ["T10001"]);
    assert_eq!(numbers(&list(json!({"order_state": 1})).await), ["T10002", "T10003"]);
    assert!(numbers(&list(json!({"openid": "oOTHER"})).await).is_empty());
    for wrong in [json!({"page_size": 51}), json!({"last_index": "x"})] {
        assert_eq!(list(wrong).await["errcode"], 10_060_014);
    }
}

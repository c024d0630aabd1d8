//! facts: ylh.md

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::shop::{Shop, Taken, json_of};

const HOUR: Duration = Duration::from_secs(3600);
const CREATE: &str = "/api/page/hmm/retailorder/receive-hmm-retail-order";
const CANCEL: &str = "/api/page/hmm/retailorder/cancel-hmm-retail-order";
const STORE_LOGISTICS: &str = "/api/composite/stock/logistics/get-store-logistics-by-order-code";

pub async fn token(shop: &Shop) -> String {
    let is = &shop.is.ylh;
    let form = [("grant_type", "password"), ("username", is.username), ("password", is.password)];
    let basic = STANDARD.encode(format!("{}:{}", is.client_id, is.client_password));
    let answer = shop
        .http
        .post(format!("{}/oauth/token", shop.at().ylh_auth))
        .header("system-name", "ylh-open-api")
        .header("authorization", format!("Basic {basic}"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let answer = json_of(answer).await;
    format!("{} {}", answer["token_type"].as_str().unwrap(), answer["access_token"].as_str().unwrap())
}

pub fn order(so_id: &str, product_code: &str) -> Value {
    json!({"sourceSystem": "WINDLASS", "shopName": "测试旗舰店", "sellerCode": "8800000001", "consigneeName": "测试",
        "consigneeMobile": "13000000000", "onlineNo": so_id.trim_end_matches("-2"), "soId": so_id, "remark": "",
        "totalQty": 1, "totalAmt": 1199.99, "createTime": 1_767_578_400_000i64, "province": "江苏省",
        "city": "南京市", "area": "鼓楼区", "town": "", "detailAddress": "测试路1号", "deliveryInstall": "false",
        "itemList": [{"productCode": product_code, "itemQty": 1, "retailPrice": 1299.99, "discountAmount": 100.00,
            "actualPrice": 1199.99, "isGift": false}]})
}

pub async fn create(shop: &Shop, order: &Value) -> Value {
    call(shop, format!("{}{CREATE}", shop.at().ylh_order), order).await
}

pub async fn cancel(shop: &Shop, so_id: &str) -> Value {
    let body = json!({"soId": so_id, "cancelTime": "1767578400000", "cancelReason": "买家取消", "sourceSystem": "WINDLASS"});
    call(shop, format!("{}{CANCEL}", shop.at().ylh_order), &body).await
}

async fn call(shop: &Shop, url: String, body: &Value) -> Value {
    let request = shop.http.post(url).header("authorization", token(shop).await).json(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    json_of(answer).await
}

/// The form of a callback, its signature recomputed by the rule of facts: ylh.md 9.
fn read(shop: &Shop, taken: &Taken) -> (String, Value) {
    let uri = format!("http://x/?{}", String::from_utf8(taken.body.clone()).unwrap());
    let form: BTreeMap<String, String> =
        reqwest::Url::parse(&uri).unwrap().query_pairs().into_owned().collect();
    assert_eq!(form["Sign"], sign(shop.is.ylh.callback_secret, &form));
    assert_eq!(form["AppKey"], shop.is.ylh.callback_app_key);
    (form["Method"].clone(), serde_json::from_str(&form["Data"]).unwrap())
}

fn sign(secret: &str, form: &BTreeMap<String, String>) -> String {
    let mut text = secret.to_owned();
    for (name, value) in form.iter().filter(|(name, value)| *name != "Sign" && !value.trim().is_empty()) {
        text += name;
        text += value;
    }
    text += secret;
    Md5::digest(text.to_lowercase()).iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn this_test_signs_as_the_worked_example_does() {
    let form = [
        ("AppKey", "APPKEY1"),
        ("TimeStamp", "20260101120000"),
        ("Method", "hmm.scm_heorder.confirm"),
        ("Data", r#"{"ExtOrderNo":"SO.1","PlatformOrderNo":"P1","State":1}"#),
    ];
    let form = form.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(sign("secret1", &form), "0876BEDCE9C7EBB49F47844583AC1E05");
}

#[tokio::test]
async fn an_order_is_accepted_once_and_confirmed_by_a_signed_callback() {
    let shop = Shop::open().await;
    assert_eq!(create(&shop, &order("P1", "FAKE1")).await["data"], true);
    let again = create(&shop, &order("P1", "FAKE1")).await;
    assert_eq!(
        (&again["success"], &again["errCode"], &again["errorMsg"]),
        (&json!(false), &json!("DUPLICATE"), &json!("子订单号重复"))
    );
    assert!(shop.desk.taken("/ylh").is_empty(), "nothing is confirmed before its time");

    shop.clock.advance(Duration::from_secs(300));
    let taken = shop.desk.wait("/ylh", 1).await;
    let (method, data) = read(&shop, &taken[0]);
    assert_eq!(method, "hmm.scm_heorder.confirm");
    assert_eq!(
        data,
        json!({"ExtOrderNo": "SO.20260105.000000000001", "PlatformOrderNo": "P1", "State": 1, "FailMsg": ""})
    );
    assert_eq!(shop.effect("ylh.create").await, (1, 0));
}

#[tokio::test]
async fn a_product_that_cannot_be_had_is_refused_by_callback() {
    let shop = Shop::open().await;
    assert_eq!(create(&shop, &order("P1", "FAIL1")).await["success"], true);
    shop.clock.advance(Duration::from_secs(300));
    let (_, data) = read(&shop, &shop.desk.wait("/ylh", 1).await[0]);
    assert_eq!((&data["State"], &data["FailMsg"]), (&json!(0), &json!("订单校验不通过")));
    assert_eq!(shop.truth().await.orders.refused, 1);
}

#[tokio::test]
async fn a_second_order_for_the_same_online_number_is_doubled() {
    let shop = Shop::open().await;
    create(&shop, &order("P1", "FAKE1")).await;
    create(&shop, &order("P1-2", "FAKE1")).await;
    assert_eq!(shop.effect("ylh.create").await, (2, 1));
}

#[tokio::test]
async fn an_order_travels_until_it_is_delivered() {
    let shop = Shop::open().await;
    create(&shop, &order("P1", "FAKE1")).await;
    let store = format!("{}{STORE_LOGISTICS}", shop.at().ylh_stock);
    let ext = "SO.20260105.000000000001";
    shop.clock.advance(Duration::from_secs(300));
    shop.until(|truth| truth.orders.confirmed == 1).await;
    assert_eq!(call(&shop, store.clone(), &json!([ext])).await["data"], json!([]));
    shop.clock.advance(3 * HOUR);
    shop.until(|truth| truth.orders.shipped == 1).await;
    let rows = call(&shop, store.clone(), &json!([ext, "SO.20260105.000000999999"])).await["data"].clone();
    assert_eq!(
        (&rows[0]["orderCode"], &rows[0]["deliveryRecordCode"]),
        (&json!(ext), &json!("SO.20260105.000000000001.F1"))
    );
    assert!(rows[0]["logisticsList"][0]["barCodes"][0].as_str().unwrap().starts_with("SN"));

    let is = &shop.is.haier;
    let ask = json!({"orderCode": ext, "sellerCode": is.customer_code, "sellerPassword": is.seller_password});
    let state = |answer: &Value| {
        answer["data"]["getAllLogisticsInfoByOrderCode"][0]["getStoreOutboundLogisticsInfoResultDto"][0]["deliveryLogisticsDtos"].to_string()
    };
    let before = crate::haier::call(&shop, crate::haier::LOGISTICS, &ask).await;
    assert!(!state(&before).contains("DELIVERED"));
    shop.clock.advance(10 * HOUR);
    shop.until(|truth| truth.orders.delivered == 1).await;
    let after = crate::haier::call(&shop, crate::haier::LOGISTICS, &ask).await;
    assert!(state(&after).contains("DELIVERED"));
    assert_eq!(call(&shop, store, &json!(vec![ext; 101])).await["success"], false);
}

#[tokio::test]
async fn a_cancellation_is_answered_later_and_by_callback() {
    let shop = Shop::open_with(|config| config.pace.confirm = windlass_sandbox::Span::hours(1, 1)).await;
    create(&shop, &order("P1", "FAKE1")).await;
    assert_eq!(cancel(&shop, "P9").await["errorMsg"], "订单不存在");
    assert_eq!(cancel(&shop, "P1").await["data"], true);
    assert_eq!(cancel(&shop, "P1").await["data"], true);
    shop.clock.advance(Duration::from_secs(600));
    let (method, data) = read(&shop, &shop.desk.wait("/ylh", 1).await[0]);
    assert_eq!((method.as_str(), &data["State"]), ("hmm.scm_heorder.cancel", &json!(1)));
    assert_eq!(
        data["itemList"],
        json!([{"productCode": "FAKE1", "totalQty": 1, "receiveQty": 0, "returnQty": 0, "rejectQty": 1}])
    );
    assert_eq!(cancel(&shop, "P1").await["errCode"], "CANCELLED");
    assert_eq!((shop.effect("ylh.cancel").await, shop.truth().await.orders.cancelled), ((1, 0), 1));
}

#[tokio::test]
async fn a_rejection_at_the_door_is_told_although_nobody_asked() {
    let shop = Shop::open().await;
    create(&shop, &order("P1", "REJECT1")).await;
    shop.in_time(HOUR, |truth| truth.orders.cancelled == 1).await;
    let taken = shop.desk.wait("/ylh", 2).await;
    assert_eq!(read(&shop, &taken[1]).0, "hmm.scm_heorder.cancel");
    assert_eq!((shop.effect("ylh.cancel").await, shop.truth().await.orders.cancelled), ((0, 0), 1));
}

#[tokio::test]
async fn a_callback_that_was_not_taken_comes_again_after_1_and_5_minutes() {
    let shop = Shop::open().await;
    shop.desk.refuse(2);
    create(&shop, &order("P1", "FAKE1")).await;
    shop.clock.advance(Duration::from_secs(300));
    for (tries, wait_s) in [(1, 60), (2, 300)] {
        shop.until(|truth| truth.callbacks.tries == tries).await;
        shop.clock.advance(Duration::from_secs(wait_s - 1));
        tokio::task::yield_now().await;
        assert_eq!(shop.desk.taken("/ylh").len() as u64, tries);
        shop.clock.advance(Duration::from_secs(1));
    }
    shop.until(|truth| truth.callbacks.taken == 1).await;
}

#[tokio::test]
async fn callbacks_wait_until_there_is_an_address() {
    let shop = Shop::open_with(|config| config.callbacks = windlass_sandbox::Callbacks::default()).await;
    create(&shop, &order("P1", "FAKE1")).await;
    shop.clock.advance(Duration::from_secs(300));
    shop.until(|truth| truth.callbacks.owed == 1).await;
    shop.sandbox.call_back_to(shop.desk.callbacks());
    shop.desk.wait("/ylh", 1).await;
    shop.until(|truth| truth.callbacks.taken == 1).await;
}

#[tokio::test]
async fn nobody_gets_in_without_the_right_token() {
    let shop = Shop::open().await;
    let url = format!("{}{CREATE}", shop.at().ylh_order);
    for header in ["", "bearer made-up"] {
        let request = shop.http.post(&url).header("authorization", header).json(&order("P1", "FAKE1"));
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    let asked = shop.http.post(format!("{}/oauth/token", shop.at().ylh_auth)).header("system-name", "other");
    assert_eq!(asked.send().await.unwrap().status(), 401);
    assert_eq!(shop.effect("ylh.create").await, (0, 0));
}

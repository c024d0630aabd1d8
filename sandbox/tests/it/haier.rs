//! facts: haier.md

use serde_json::{Value, json};

use crate::shop::{Shop, json_of};
use crate::ylh;

const GOODS: &str = "/yilihuo/jsh-service-goods-mall-search/api/product-info/procurable-products-out/check-procurable-products";
const PRICE: &str =
    "/yilihuo/jsh-service-goods-price/api/goods-price/price-daily-sales/price-query/pt-out-list-price";
const STOCK: &str = "/yilihuo/jsh-service-stock-mall/api/page/stock/get-available-stock-open";
pub const LOGISTICS: &str = "/yilihuo/ylh-cloud-service-stock/api/page/stock/logistics/sass/get-thirdparty-logistics-info-by-order-code-auth";
const BALANCE: &str = "/yilihuo/jsh-service-finance-mall/api/page/account/account-balance-manager/get-payer-account-balance-by-customer-code";

pub async fn token(shop: &Shop) -> String {
    let is = &shop.is.haier;
    let body = json!({"client_id": is.client_id, "client_secret": is.client_secret, "grant_type": "client_credentials"});
    let answer = shop.http.post(format!("{}/oauth2/auth", shop.at().haier)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    json_of(answer).await["token"].as_str().unwrap().to_owned()
}

pub async fn call(shop: &Shop, path: &str, body: &Value) -> Value {
    let request =
        shop.http.post(format!("{}{path}", shop.at().haier)).header("authorization", token(shop).await);
    let answer = request.json(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    json_of(answer).await
}

fn goods(shop: &Shop, codes: &[&str]) -> Value {
    let is = &shop.is.haier;
    json!({"customerCode": is.customer_code, "sendToCode": is.send_to_code, "supplierCode": is.supplier_code,
        "searchType": "PTJSH", "productCodes": codes, "passWord": is.password})
}

#[tokio::test]
async fn a_token_goes_in_raw_and_nothing_else_does() {
    let shop = Shop::open().await;
    let token = token(&shop).await;
    for (value, status) in [(token.clone(), 200), (format!("Bearer {token}"), 401), ("made up".into(), 401)] {
        let request = shop.http.post(format!("{}{GOODS}", shop.at().haier)).header("authorization", value);
        let answer = request.json(&goods(&shop, &["FAKE1"])).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    shop.clock.advance(std::time::Duration::from_secs(3601));
    let request = shop.http.post(format!("{}{GOODS}", shop.at().haier)).header("authorization", token);
    assert_eq!(request.json(&goods(&shop, &[])).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn products_keep_their_misspelled_names_and_twenty_codes_are_the_bound() {
    let shop = Shop::open().await;
    let answer = call(&shop, GOODS, &goods(&shop, &["FAKE1", "NONE1"])).await;
    assert_eq!(answer["success"], true);
    assert_eq!(answer["data"][0]["isSales"], "1");
    assert!(
        answer["data"][0]["productGroupNamd"].is_string() && answer["data"][0]["productLageUrls"].is_array()
    );
    assert_eq!(
        (answer["data"][1]["isSales"].as_str(), answer["data"][1]["noSalesReason"].as_str()),
        (Some("0"), Some("产品未投放"))
    );
    let too_many = vec!["FAKE1"; 21];
    assert_eq!(call(&shop, GOODS, &goods(&shop, &too_many)).await["success"], false);
    assert!(call(&shop, GOODS, &goods(&shop, &[])).await["data"].as_array().unwrap().len() > 20);
}

#[tokio::test]
async fn a_password_under_another_name_is_no_password() {
    let shop = Shop::open().await;
    let mut body = goods(&shop, &["FAKE1"]);
    body.as_object_mut().unwrap().remove("passWord");
    body["password"] = json!(shop.is.haier.password);
    let answer = call(&shop, GOODS, &body).await;
    assert_eq!((&answer["success"], &answer["errorMsg"]), (&json!(false), &json!("密码错误")));
}

#[tokio::test]
async fn price_stock_and_balance_answer_in_their_own_forms() {
    let shop = Shop::open().await;
    let is = &shop.is.haier;
    let price = json!({"customerCode": is.customer_code, "sendToCode": is.send_to_code,
        "productCodes": ["FAKE1", "NOPRICE1"], "priceType": "PT", "passWord": is.password});
    let prices = call(&shop, PRICE, &price).await;
    assert!(prices["data"][0]["supplyPrice"].as_f64().unwrap() >= 100.0);
    assert_eq!(prices["data"][1]["reason"], "价格未生效");

    let stock = json!({"salesCode": is.customer_code, "senderCode": is.send_to_code, "productCode": "FAKE1",
        "countyCode": "320106", "source": "JSH-B", "sellerPassword": is.seller_password});
    let rows = call(&shop, STOCK, &stock).await["data"].clone();
    let pieces = |row: &Value| row["stock"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(rows.as_array().unwrap().iter().map(pieces).sum::<u64>() >= 100_000);

    let balance = json!({"customerCode": is.customer_code, "customerPassword": is.customer_password});
    assert!(call(&shop, BALANCE, &balance).await["data"][0]["payerAccountBalance"].is_number());
}

async fn balance_fen(shop: &Shop) -> i64 {
    let is = &shop.is.haier;
    let body = json!({"customerCode": is.customer_code, "customerPassword": is.customer_password});
    let yuan = call(shop, BALANCE, &body).await["data"][0]["payerAccountBalance"].as_f64().unwrap();
    (yuan * 100.0).round() as i64
}

#[tokio::test]
async fn the_balance_falls_with_what_is_ordered_and_rises_with_what_is_paid_in() {
    let shop = Shop::open_with(|config| config.goods.balance_fen = Some(1_000_000)).await;
    assert_eq!(balance_fen(&shop).await, 1_000_000);
    ylh::create(&shop, &ylh::order("SO-1001-1", "FAKE1")).await;
    assert_eq!(balance_fen(&shop).await, 1_000_000 - 119_999);
    let url = format!("{}/control/haier", shop.at().control);
    shop.http.post(url).json(&json!({"pay_in_fen": 500})).send().await.unwrap();
    assert_eq!(balance_fen(&shop).await, 1_000_000 - 119_999 + 500);
}

#[tokio::test]
async fn more_calls_than_haier_bears_are_429_and_counted() {
    let shop = Shop::open_with(|config| config.goods.calls_per_s = Some(5)).await;
    let token = token(&shop).await;
    let ask = async || {
        let request = shop.http.post(format!("{}{GOODS}", shop.at().haier)).header("authorization", &token);
        request.json(&goods(&shop, &["FAKE1"])).send().await.unwrap().status().as_u16()
    };
    let mut through = 0;
    while ask().await == 200 {
        through += 1;
        assert!(through < 1_000, "nothing is ever too much");
    }
    let calls = shop.sandbox.calls();
    assert!(through >= 5, "a second's worth comes at once");
    assert_eq!((calls.haier_reads, calls.haier_throttled, calls.haier_tokens), (through, 1, 1));
}

#[tokio::test]
async fn the_catalogue_is_told_for_any_instant_as_the_calls_tell_it() {
    let shop = Shop::open_with(|config| config.goods.products = 1_000).await;
    shop.clock.advance(std::time::Duration::from_secs(5 * 86_400));
    let url = format!("{}/truth/catalogue", shop.at().control);
    let now = json_of(shop.http.get(&url).send().await.unwrap()).await;
    let then = json_of(shop.http.get(format!("{url}?at=2026-01-05T04:00:00Z")).send().await.unwrap()).await;
    assert_eq!(now.as_array().unwrap().len(), 1_000);
    assert_ne!(now, then);
    let listed = call(&shop, GOODS, &goods(&shop, &[])).await["data"].clone();
    let for_sale: Vec<_> = now
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["for_sale"] == true)
        .map(|row| &row["product_code"])
        .collect();
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|row| &row["productCode"]).collect();
    assert_eq!(listed, for_sale);
}

#[tokio::test]
async fn an_odd_answer_comes_once_and_the_same_question_is_then_answered_straight() {
    let shop = Shop::open_with(|config| config.goods.odd_per_mille = 1_000).await;
    let mut odd = 0;
    for n in 0..20 {
        let asked: Vec<String> = (0..6).map(|code| format!("FAKE{:05}", n * 6 + code)).collect();
        let body = goods(&shop, &asked.iter().map(String::as_str).collect::<Vec<_>>());
        let (first, second) = (call(&shop, GOODS, &body).await, call(&shop, GOODS, &body).await);
        assert_eq!(second["data"].as_array().unwrap().len(), 6);
        assert_eq!(second["data"][0]["isSales"], "1");
        odd += i32::from(first != second);
    }
    assert_eq!(odd, 20);
}

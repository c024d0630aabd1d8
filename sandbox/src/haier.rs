//! Haier's open platform: the token and the five read calls (facts: haier.md).
//!
//! Field names are spelled as Haier spells them, wrong where Haier is wrong.

mod catalogue;
mod control;
mod desk;
mod logistics;

pub(crate) use catalogue::Day;
pub use catalogue::ProductTruth;
pub(crate) use control::router as control;
pub(crate) use desk::Desk;
pub use desk::{CallsTruth, Goods};

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::answer::{On, Refusal, Refused, answer, envelope, refused};
use crate::credentials::{HaierCredentials, credentials};
use crate::fault::{Endpoint, Fault};
use crate::sealed::{jwt, open_jwt};
use crate::world::World;

const PRODUCTS: &str = "/yilihuo/jsh-service-goods-mall-search/api/product-info/procurable-products-out/check-procurable-products";
const PRICE: &str =
    "/yilihuo/jsh-service-goods-price/api/goods-price/price-daily-sales/price-query/pt-out-list-price";
const STOCK: &str = "/yilihuo/jsh-service-stock-mall/api/page/stock/get-available-stock-open";
const LOGISTICS: &str = "/yilihuo/ylh-cloud-service-stock/api/page/stock/logistics/sass/get-thirdparty-logistics-info-by-order-code-auth";
const BALANCE: &str = "/yilihuo/jsh-service-finance-mall/api/page/account/account-balance-manager/get-payer-account-balance-by-customer-code";

/// facts: haier.md 4 and 5.
const CODES_MAX: usize = 20;

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/oauth2/auth", post(token))
        .route("/oauth2/token", post(token))
        .route(PRODUCTS, post(products))
        .route(PRICE, post(price))
        .route(STOCK, post(stock))
        .route(LOGISTICS, post(logistics_of_order))
        .route(BALANCE, post(balance))
        .with_state(world)
}

async fn token(State(world): State<Arc<World>>, ConnectInfo(on): On, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let ours = credentials().haier;
    if text(&asked, "client_id") != ours.client_id
        || text(&asked, "client_secret") != ours.client_secret
        || text(&asked, "grant_type") != "client_credentials"
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    world.haier.haier_tokens.fetch_add(1, Ordering::Relaxed);
    let fault = world.dial.ask(Endpoint::HaierToken, ours.client_id);
    answer(&world, &on, fault, refuse, || {
        let lifetime = world.pace.haier_token;
        let expires_at = (world.clock.now() + lifetime).secs();
        let token = jwt(&secret(&world), &json!({"key": ours.client_id, "extend": "", "exp": expires_at}));
        Ok(Json(json!({"expires_at": expires_at, "expires_in": lifetime.as_secs(), "token": token}))
            .into_response())
    })
    .await
}

fn secret(world: &World) -> [u8; 8] {
    world.draw(&["haier.token"], 0).to_le_bytes()
}

/// The raw token, without `Bearer` (facts: haier.md 2).
fn is_let_in(world: &World, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|token| open_jwt(&secret(world), token))
        .and_then(|said| said["exp"].as_i64())
        .is_some_and(|exp| world.clock.now().secs() < exp)
}

fn refuse(why: Refused) -> Response {
    match why {
        Refused::Busy => Json(envelope(Err(Refusal {
            code: "SYS_BUSY",
            text: "系统繁忙，请稍后再试".to_owned(),
        })))
        .into_response(),
        why => refused(why),
    }
}

/// What one of the five calls reads.
type Read = fn(&World, &HaierCredentials, &Value) -> Result<Value, Refusal>;

type Call = crate::call::Call<Arc<World>>;

async fn play(call: Call, path: &str, read: Read) -> Response {
    let Call { to: world, on, headers, body, .. } = call;
    if !is_let_in(&world, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if world.haier.is_too_many(world.clock.wall()) {
        return refused(Refused::TooMany);
    }
    let question = format!("{path} {asked}");
    let (fault, odd) = (world.dial.ask(Endpoint::HaierRead, &question), world.haier.odd_form(&question));
    answer(&world, &on, fault, refuse, || {
        let mut result = read(&world, &credentials().haier, &asked);
        if fault == Some(Fault::OtherForm)
            && let Ok(data) = &mut result
        {
            if path == STOCK {
                *data = catalogue::stock_in_one(data);
            } else if data.is_array() {
                return Ok(Json(catalogue::decimals_as_text(data)).into_response());
            }
        }
        if let (Some(odd), Ok(data)) = (odd, &result) {
            match catalogue::in_odd_form(odd, data) {
                Ok(data) => result = Ok(data),
                Err(bare) => return Ok(Json(bare).into_response()),
            }
        }
        Ok(Json(envelope(result)).into_response())
    })
    .await
}

async fn products(call: Call) -> Response {
    play(call, PRODUCTS, |world, ours, asked| {
        expect(asked, "customerCode", ours.customer_code)?;
        expect(asked, "supplierCode", ours.supplier_code)?;
        expect(asked, "sendToCode", ours.send_to_code)?;
        password(asked, "passWord", ours.password)?;
        let today = world.haier_today();
        let codes = match codes(asked)? {
            codes if codes.is_empty() => today.listed(),
            codes => codes,
        };
        Ok(codes.iter().map(|code| today.product(code)).collect())
    })
    .await
}

async fn price(call: Call) -> Response {
    play(call, PRICE, |world, ours, asked| {
        expect(asked, "customerCode", ours.customer_code)?;
        expect(asked, "sendToCode", ours.send_to_code)?;
        expect(asked, "priceType", "PT")?;
        password(asked, "passWord", ours.password)?;
        let today = world.haier_today();
        Ok(codes(asked)?.iter().map(|code| today.price(code)).collect())
    })
    .await
}

async fn stock(call: Call) -> Response {
    play(call, STOCK, |world, ours, asked| {
        expect(asked, "salesCode", ours.customer_code)?;
        expect(asked, "senderCode", ours.send_to_code)?;
        expect(asked, "source", "JSH-B")?;
        let county = required(asked, "countyCode")?;
        password(asked, "sellerPassword", ours.seller_password)?;
        Ok(world.haier_today().stock(required(asked, "productCode")?, county))
    })
    .await
}

async fn logistics_of_order(call: Call) -> Response {
    play(call, LOGISTICS, |world, ours, asked| {
        expect(asked, "sellerCode", ours.customer_code)?;
        password(asked, "sellerPassword", ours.seller_password)?;
        let order_code = required(asked, "orderCode")?;
        Ok(logistics::of_order(world, order_code, asked["deliveryRecordCode"].as_str()))
    })
    .await
}

async fn balance(call: Call) -> Response {
    play(call, BALANCE, |world, ours, asked| {
        expect(asked, "customerCode", ours.customer_code)?;
        password(asked, "customerPassword", ours.customer_password)?;
        Ok(world.haier_today().balance(world.haier_ordered_fen() - world.haier.paid_in_fen()))
    })
    .await
}

fn text<'a>(asked: &'a Value, field: &str) -> &'a str {
    asked[field].as_str().unwrap_or_default()
}

fn required<'a>(asked: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    match text(asked, field) {
        "" => Err(Refusal { code: "PARAM", text: format!("{field}不能为空") }),
        given => Ok(given),
    }
}

fn expect(asked: &Value, field: &str, right: &str) -> Result<(), Refusal> {
    if required(asked, field)? == right {
        return Ok(());
    }
    Err(Refusal { code: "PARAM", text: format!("{field}不正确") })
}

/// A password under another field name is no password (facts: haier.md 9).
fn password(asked: &Value, field: &str, right: &str) -> Result<(), Refusal> {
    if text(asked, field) == right {
        return Ok(());
    }
    Err(Refusal { code: "PASSWORD", text: "密码错误".to_owned() })
}

fn codes(asked: &Value) -> Result<Vec<String>, Refusal> {
    let codes: Vec<String> = match &asked["productCodes"] {
        Value::Null => Vec::new(),
        Value::Array(codes) => codes.iter().filter_map(|code| code.as_str().map(str::to_owned)).collect(),
        _ => return Err(Refusal { code: "PARAM", text: "productCodes格式不正确".to_owned() }),
    };
    if codes.len() > CODES_MAX {
        return Err(Refusal { code: "PARAM", text: format!("产品编码最多{CODES_MAX}个") });
    }
    Ok(codes)
}

/// Why the supplier will not deliver a product, if so.
pub(crate) fn why_not(code: &str) -> Option<&'static str> {
    if code.starts_with("FAIL") {
        return Some("订单校验不通过");
    }
    if catalogue::lacks_price(code) {
        return Some("价格未生效");
    }
    if catalogue::is_out_of_stock(code) {
        return Some("库存不足");
    }
    catalogue::refusal(code)
}

impl World {
    /// Haier's goods as they are now.
    pub(crate) fn haier_today(&self) -> Day {
        Day { seed: self.seed, goods: self.haier.goods(), at: self.clock.now() }
    }

    /// What the orders cost that the supplier is bound to deliver.
    fn haier_ordered_fen(&self) -> i64 {
        self.look(|state| {
            state.orders.rows().iter().filter(|order| order.is_alive()).map(|order| order.amount_fen).sum()
        })
    }
}

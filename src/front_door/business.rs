//! The business through the door: callbacks come in, orders are looked at.
//!
//! The door hands a callback over byte for byte and gives back what it is told: signatures, forms and what a
//! callback means are the business's own.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use windlass_engine::Timestamp;
use windlass_jobs::answer::CallbackAnswer;
use windlass_jobs::callback::CALLBACK_BODY_BYTES_MAX;
use windlass_jobs::orders::{order_view, tally};
use windlass_jobs::payments::{WechatCallback, receive_wechat_callback};
use windlass_jobs::suppliers::receive_ylh_callback;

use super::Door;
use super::body::{Named, read};
use super::problem::{Kind, Problem};

/// `POST /callbacks/ylh`
pub async fn ylh(Given(door): Given<Door>, body: Body) -> Result<Response, Problem> {
    let body = read(body, CALLBACK_BODY_BYTES_MAX).await?;
    answer(receive_ylh_callback(&door.shop, &body).await)
}

/// `POST /callbacks/wechat-pay/payment`
pub async fn wechat_payment(door: Given<Door>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    wechat(&door, WechatCallback::Payment, &headers, body).await
}

/// `POST /callbacks/wechat-pay/refund`
pub async fn wechat_refund(door: Given<Door>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    wechat(&door, WechatCallback::Refund, &headers, body).await
}

async fn wechat(
    door: &Door,
    which: WechatCallback,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read(body, CALLBACK_BODY_BYTES_MAX).await?;
    // A header that is no text cannot be a part of the signature.
    let headers: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    answer(receive_wechat_callback(&door.shop, which, &headers, &body).await)
}

fn answer(answer: CallbackAnswer) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(answer.status).map_err(Problem::internal)?;
    Ok((status, Json(answer.body)).into_response())
}

/// `GET /v1/orders/{no}`: the order and everything that happened to it.
pub async fn order(Given(door): Given<Door>, Named(no): Named) -> Result<Json<Value>, Problem> {
    match order_view(&door.ledger, &no).await? {
        Some(view) => {
            let mut told = json!(view);
            tell_times(&mut told);
            Ok(Json(told))
        }
        None => {
            let shown: String = no.chars().take(100).collect();
            Err(Problem::new(Kind::NoSuchOrder, format!("No order has the number {shown:?}.")))
        }
    }
}

/// `GET /v1/totals`: the shop's books in figures, and how many jobs its outbox holds.
pub async fn totals(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let (business, outbox) = (tally(&door.ledger).await?, door.ledger.outbox_counts().await?);
    Ok(Json(json!({ "business": business, "outbox": outbox })))
}

/// Turns the ledger's microseconds into RFC 3339. What others wrote (`data`, `answer`, `payload`, `evidence`) stays as
/// it is: their numbers are not ours.
pub fn tell_times(told: &mut Value) {
    match told {
        Value::Array(items) => items.iter_mut().for_each(tell_times),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_i64() {
                    Some(micros) if name == "at" || name.ends_with("_at") => {
                        *member = json!(Timestamp::from_micros(micros).to_rfc3339());
                    }
                    _ if matches!(name.as_str(), "data" | "answer" | "payload" | "evidence" | "report") => {}
                    _ => tell_times(member),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_in_words_and_the_numbers_of_others_are_not() {
        let mut told = json!({
            "events": [{"at": 1_767_585_600_000_000_i64, "data": {"paid_at": 1_767_585_600}}],
            "created_at": 1_767_585_600_000_000_i64, "paid_at": null, "total_fen": 500,
        });
        tell_times(&mut told);
        assert_eq!(
            told,
            json!({
                "events": [{"at": "2026-01-05T04:00:00.000Z", "data": {"paid_at": 1_767_585_600}}],
                "created_at": "2026-01-05T04:00:00.000Z", "paid_at": null, "total_fen": 500,
            })
        );
    }
}

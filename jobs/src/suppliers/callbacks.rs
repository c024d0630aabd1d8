//! YLH's callbacks at the door: verified on the raw form, stored, answered. What one means is the job's business
//! ([`super::handle_supplier_callback`]).
//!
//! YLH prints no retry policy, so success is answered for everything that is stored to be acted on; `success:false`
//! goes only to a wrong signature and to an order that we do not know (facts: ylh.md 9).

use serde_json::{Value, json};
use sqlx::AnyConnection;
use windlass_engine::{Job, JobId, NewJob};

use super::handle_supplier_callback::HandleSupplierCallback;
use super::ylh::{self, Callback, CallbackRefused, verify_form};
use crate::answer::CallbackAnswer;
use crate::callback::{CallbackVerdict, NewCallback};
use crate::ledger::LedgerError;
use crate::shop::Shop;

/// The name of YLH's callbacks in the ledger.
pub const SOURCE: &str = "ylh";

/// Verifies, stores (also what is refused, with the reason), enqueues the job in the same transaction, answers.
pub async fn receive_ylh_callback(shop: &Shop, form_body: &[u8]) -> CallbackAnswer {
    let now = shop.clock.now();
    if form_body.len() > shop.settings.callback_bytes_max {
        return answer(413, &ylh::CallbackAnswer::refused("too_large", "报文过大", "", now));
    }
    let verified = verify_form(form_body, &shop.ylh_callback_keys);
    let number = verified.as_ref().map(|callback| callback.platform_order_no.clone()).unwrap_or_default();
    let taken = match &verified {
        Ok(callback) => is_known(shop, callback).await,
        Err(_) => Ok(false),
    };
    let stored = match &taken {
        Ok(taken) => store(shop, form_body, *taken, verified.as_ref().err()).await,
        Err(_) => Ok(()),
    };
    match (taken, stored, verified) {
        (Ok(true), Ok(()), _) => answer(200, &ylh::CallbackAnswer::taken(&number, now)),
        (Ok(false), Ok(()), Ok(_)) => {
            answer(200, &ylh::CallbackAnswer::refused("unknown_order", "订单不存在", &number, now))
        }
        (Ok(false), Ok(()), Err(refused)) => {
            answer(200, &ylh::CallbackAnswer::refused(refused.code(), &refused.to_string(), "", now))
        }
        (Err(error), _, _) | (_, Err(error), _) => {
            tracing::error!(%error, "a callback of YLH could not be stored");
            answer(500, &ylh::CallbackAnswer::refused("not_stored", "系统繁忙", &number, now))
        }
    }
}

fn answer(status: u16, body: &ylh::CallbackAnswer) -> CallbackAnswer {
    CallbackAnswer { status, body: serde_json::to_value(body).unwrap_or(Value::Null) }
}

async fn is_known(shop: &Shop, callback: &Callback) -> Result<bool, LedgerError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    Ok(order_of(&mut conn, callback).await?.is_some())
}

async fn store(
    shop: &Shop,
    body: &[u8],
    taken: bool,
    refused: Option<&CallbackRefused>,
) -> Result<(), LedgerError> {
    let reason = match (taken, refused) {
        (true, _) => None,
        (false, Some(refused)) => Some(refused.to_string()),
        (false, None) => Some("unknown order".to_owned()),
    };
    let new = NewCallback {
        id: NewCallback::content_id(SOURCE, body),
        source: SOURCE.to_owned(),
        headers: json!({}),
        body: body.to_vec(),
        received_at: shop.clock.now(),
        verdict: if taken { CallbackVerdict::Accepted } else { CallbackVerdict::Refused },
        reason,
    };
    let mut tx = shop.ledger.begin().await?;
    if tx.store_callback(&new).await? && taken {
        tx.enqueue(&job_for(shop, &new.id)).await?;
    }
    tx.commit().await
}

/// The job that acts on a stored callback; one id for one callback.
pub fn job_for(shop: &Shop, callback_id: &str) -> NewJob {
    let job = HandleSupplierCallback { callback_id: callback_id.to_owned() };
    NewJob::of(&job, &shop.clock).id(JobId::derived(&[HandleSupplierCallback::KIND, callback_id]))
}

/// The order that a callback is about: by Haier's number, then `soId`, then the order's own (facts: ylh.md 10).
/// Matched exactly: the signature does not protect letter case.
pub async fn order_of(conn: &mut AnyConnection, callback: &Callback) -> Result<Option<String>, sqlx::Error> {
    let by = async |conn: &mut AnyConnection, sql: &'static str, number: &str| {
        let row: Result<Option<(String,)>, sqlx::Error> =
            sqlx::query_as(sql).bind(number).fetch_optional(conn).await;
        row.map(|row| row.map(|(order_no,)| order_no))
    };
    if let Some(haier_no) = callback.ext_order_no.as_deref().filter(|number| !number.is_empty()) {
        let sql = "SELECT order_no FROM supplier_orders WHERE haier_no = $1";
        if let Some(order_no) = by(conn, sql, haier_no).await? {
            return Ok(Some(order_no));
        }
    }
    let number = &callback.platform_order_no;
    let sql = "SELECT order_no FROM supplier_orders WHERE so_id = $1";
    if let Some(order_no) = by(conn, sql, number).await? {
        return Ok(Some(order_no));
    }
    by(conn, "SELECT order_no FROM supplier_orders WHERE order_no = $1", number).await
}

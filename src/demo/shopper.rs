//! The shop's web side: customers check out, and each order is handed to the front door over HTTP.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde_json::{Value, json};
use windlass_engine::{Clock, Timestamp};

use super::customers;
use super::input::Basket;
use super::progress::Bars;
use super::standing::Desks;
use crate::cli::api::{Api, ApiError};

/// Orders on their way into the front door at once.
const AT_ONCE: usize = 32;
/// Customers in one call to the sandbox.
const CHECKOUTS_AT_ONCE: usize = 500;
/// How long after the order a customer who changes their mind does so, in the shop's time.
const CANCEL_AFTER_S: u64 = 9_000;

/// Sends each order when its time has come; answers those that the front door refused, with its reason.
///
/// # Errors
/// When the sandbox or the front door cannot be reached.
pub async fn send_all(
    desks: &Desks,
    baskets: Vec<(Timestamp, Basket)>,
    clock: &Clock,
    bars: &Bars,
) -> anyhow::Result<Vec<(String, String)>> {
    let Desks { shop: api, sandbox: till, .. } = desks;
    let mut refused = Vec::new();
    let mut baskets = baskets.into_iter().peekable();
    loop {
        let Some((due, _)) = baskets.peek() else { return Ok(refused) };
        clock.sleep_until(*due).await;
        let now = clock.now();
        // What was sent is let go of: a file's orders may be a large part of the process's memory.
        let due = std::iter::from_fn(|| baskets.next_if(|(due, _)| *due <= now));
        let some: Vec<Basket> = due.take(CHECKOUTS_AT_ONCE).map(|(_, basket)| basket).collect();
        let checkouts = some.iter().map(|basket| customers::checkout(basket, basket.total_fen()));
        till.post("/control/payments", &Value::Array(checkouts.collect()))
            .await
            .context("the sandbox did not take the payments")?;
        let answers = stream::iter(&some).map(|basket| send(api, basket)).buffer_unordered(AT_ONCE);
        let answers: Vec<_> = answers.inspect_ok(|_| bars.sent()).try_collect().await?;
        refused.extend(answers.into_iter().flatten());
    }
}

/// None: taken. Some: the number and why not.
async fn send(api: &Api, basket: &Basket) -> anyhow::Result<Option<(String, String)>> {
    let order = match customers::order(basket) {
        Ok(order) => order,
        Err(bad) => return Ok(Some((basket.no.clone(), bad.to_string()))),
    };
    let no = &basket.no;
    let job = json!({
        "kind": "fulfil_order",
        "id": format!("fulfil_order:{no}"),
        "payload": { "order": order },
        "tags": [format!("order:{no}")],
    });
    if let Err(why) = enqueue(api, &job).await? {
        return Ok(Some((no.clone(), why)));
    }
    if basket.cancelled {
        let cancel = json!({
            "kind": "cancel_order",
            "id": format!("cancel_order:{no}"),
            "payload": { "order_no": no, "reason": "the customer changed their mind" },
            "delay_seconds": CANCEL_AFTER_S,
            "tags": [format!("order:{no}")],
        });
        if let Err(why) = enqueue(api, &cancel).await? {
            return Ok(Some((no.clone(), why)));
        }
    }
    Ok(None)
}

/// The inner error is the front door's refusal of this one job.
async fn enqueue(api: &Api, job: &Value) -> anyhow::Result<Result<(), String>> {
    loop {
        match api.post("/v1/jobs", job).await {
            Ok(_) => return Ok(Ok(())),
            Err(ApiError::Refused { status, .. })
                if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            Err(refused @ ApiError::Refused { .. }) => return Ok(Err(refused.to_string())),
            Err(ApiError::Failed(error)) => return Err(error).context("the front door did not answer"),
        }
    }
}

//! Where the goods are: YLH says that they left, Haier that they arrived.
//!
//! Orders are looked at in bounded batches, each the less often the older it is.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, JobId, NewJob, Outcome, Timestamp};

use super::haier::Parcel;
use super::ylh::{STORE_LOGISTICS_MAX, Waybill};
use crate::notifications::{Template, notify};
use crate::orders::{
    AnnounceDelivery, Change, ChangeError, CompleteOrder, OrderState, RemindReceipt, SeenParcel, has_news,
    record_parcels, standing, want_upload,
};
use crate::outside::OutsideError;
use crate::shop::Shop;
use crate::stored::stored_row;
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

/// Questions that are on the way to Haier at once.
const QUESTIONS_AT_ONCE: usize = 8;

/// Looks for shipments of confirmed orders and for deliveries of shipped ones.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackParcels {}

/// An order whose turn it is.
#[derive(Clone, Debug)]
struct Due {
    order_no: String,
    haier_no: String,
    state_at: i64,
}

stored_row!(Due { order_no, haier_no, state_at });

impl Job for TrackParcels {
    const KIND: &'static str = "track_parcels";
    const QUEUE: &'static str = "haier";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let confirmed = due(shop, OrderState::Confirmed, shop.settings.track_confirmed_max).await?;
        let shipped = due(shop, OrderState::Shipped, shop.settings.track_shipped_max).await?;
        let full = confirmed.len() == shop.settings.track_confirmed_max
            || shipped.len() == shop.settings.track_shipped_max;

        let found = find_shipments(shop, job, &confirmed).await?;
        let arrived = find_deliveries(shop, job, &shipped).await?;
        let unanswered = found.unanswered + arrived.unanswered;
        // An order that nobody could say anything of is due still: the next run asks again. Nothing at all is an
        // outage, and the queue's breaker must hear of it.
        if let Some(error) = found.error.or(arrived.error)
            && unanswered == confirmed.len() + shipped.len()
        {
            return Err(verdict::of_outside(error));
        }
        let outcome = Outcome::result(json!({
            "asked": confirmed.len() + shipped.len(), "unanswered": unanswered,
            "shipped": found.moved, "delivered": arrived.moved,
        }));
        Ok(if full && unanswered == 0 { outcome.then(again(shop, job)) } else { outcome })
    }
}

/// What came of asking.
#[derive(Default)]
struct Tracked {
    /// Orders that moved on.
    moved: usize,
    unanswered: usize,
    error: Option<OutsideError>,
}

/// More were due than one run takes: another follows at once.
fn again(shop: &Shop, job: &JobContext) -> NewJob {
    NewJob::of(&TrackParcels {}, &shop.clock).id(JobId::derived(&[job.id().as_str(), "more"]))
}

async fn due(shop: &Shop, state: OrderState, orders_max: usize) -> Result<Vec<Due>, JobError> {
    Ok(sqlx::query_as(
        "SELECT o.order_no, s.haier_no, o.state_at FROM orders AS o \
         JOIN supplier_orders AS s ON s.order_no = o.order_no \
         WHERE o.state = $1 AND o.track_at <= $2 AND s.haier_no <> '' ORDER BY o.track_at, o.order_no LIMIT $3",
    )
    .bind(state.as_str())
    .bind(shop.clock.now().micros())
    .bind(i64::try_from(orders_max).unwrap_or(i64::MAX))
    .fetch_all(shop.ledger.reads())
    .await?)
}

/// Asks YLH, a hundred orders a call.
async fn find_shipments(shop: &Shop, job: &JobContext, due: &[Due]) -> Result<Tracked, JobError> {
    let mut tracked = Tracked::default();
    for chunk in due.chunks(STORE_LOGISTICS_MAX) {
        let numbers: Vec<String> = chunk.iter().map(|due| due.haier_no.clone()).collect();
        match shop.ylh.store_logistics(&numbers).await {
            Err(error) => {
                tracked.unanswered += chunk.len();
                tracked.error = Some(error);
            }
            Ok(deliveries) => {
                let mut waybills: BTreeMap<String, Vec<Waybill>> = BTreeMap::new();
                for delivery in deliveries {
                    waybills.entry(delivery.haier_no).or_default().extend(delivery.waybills);
                }
                for due in chunk {
                    let seen: Vec<SeenParcel> = waybills
                        .remove(&due.haier_no)
                        .into_iter()
                        .flatten()
                        .filter_map(from_waybill)
                        .collect();
                    if !seen.is_empty() {
                        tracked.moved += usize::from(mark_shipped(shop, job, &due.order_no, &seen).await?);
                    }
                }
                look_again_later(shop, chunk).await?;
            }
        }
    }
    Ok(tracked)
}

async fn mark_shipped(
    shop: &Shop,
    job: &JobContext,
    order_no: &str,
    seen: &[SeenParcel],
) -> Result<bool, ChangeError> {
    let mut change = Change::begin(shop, job, order_no).await?;
    if change.state() != OrderState::Confirmed {
        return Ok(false);
    }
    record_parcels(&mut change, seen).await?;
    change.move_to(OrderState::Shipped, "the carrier has it").await?;
    want_upload(&mut change).await?;
    notify(&mut change, Template::OrderShipped, "shipped").await?;
    change.commit().await?;
    Ok(true)
}

/// Asks Haier, an order a call.
async fn find_deliveries(shop: &Shop, job: &JobContext, due: &[Due]) -> Result<Tracked, JobError> {
    let ask = |due: Due| async move {
        let parcels = shop.haier.logistics(&due.haier_no).await;
        (due, parcels)
    };
    let answers: Vec<(Due, Result<Vec<Parcel>, OutsideError>)> =
        stream::iter(due.to_vec()).map(ask).buffer_unordered(QUESTIONS_AT_ONCE).collect().await;
    let (mut tracked, mut heard) = (Tracked::default(), Vec::new());
    for (due, answer) in answers {
        match answer {
            Err(error) => {
                tracked.unanswered += 1;
                tracked.error = Some(error);
            }
            Ok(parcels) => {
                let seen: Vec<SeenParcel> = parcels.into_iter().filter_map(from_parcel).collect();
                tracked.moved += usize::from(record_arrivals(shop, job, &due.order_no, &seen).await?);
                heard.push(due);
            }
        }
    }
    look_again_later(shop, &heard).await?;
    Ok(tracked)
}

async fn record_arrivals(
    shop: &Shop,
    job: &JobContext,
    order_no: &str,
    seen: &[SeenParcel],
) -> Result<bool, ChangeError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    let known = standing::parcels(&mut conn, order_no).await?;
    drop(conn);
    if !has_news(&known, seen) {
        return Ok(false);
    }
    let mut change = Change::begin(shop, job, order_no).await?;
    if change.state() != OrderState::Shipped {
        return Ok(false);
    }
    let parcels = record_parcels(&mut change, seen).await?;
    let arrived = parcels.iter().filter_map(|parcel| parcel.delivered_at).count() == parcels.len();
    if arrived {
        change.move_to(OrderState::Delivered, "every parcel was handed over").await?;
        let order_no = order_no.to_owned();
        let complete_after = Duration::from_secs(shop.settings.complete_after_s);
        let remind_after = Duration::from_secs(shop.settings.remind_receipt_after_s);
        if shop.settings.announce_deliveries {
            change.next(&AnnounceDelivery { order_no: order_no.clone() }).await?;
        }
        if !remind_after.is_zero() && remind_after < complete_after {
            change.next_after(&RemindReceipt { order_no: order_no.clone() }, remind_after).await?;
        }
        change.next_after(&CompleteOrder { order_no, received: false }, complete_after).await?;
    }
    change.commit().await?;
    Ok(arrived)
}

/// The orders' next turn, by their age; one statement, and no change of an order.
async fn look_again_later(shop: &Shop, heard: &[Due]) -> Result<(), JobError> {
    if heard.is_empty() {
        return Ok(());
    }
    let now = shop.clock.now();
    // In the order of their numbers: whoever else holds more than one order at once takes them so, too.
    let mut heard: Vec<&Due> = heard.iter().collect();
    heard.sort_unstable_by(|a, b| a.order_no.cmp(&b.order_no));
    let mut tx = shop.ledger.begin().await?;
    for due in heard {
        let age = now.since(Timestamp::from_micros(due.state_at));
        let at = now + shop.settings.track_again_after(age);
        sqlx::query(
            "UPDATE orders SET track_at = $1 WHERE order_no = $2 AND state IN ('confirmed', 'shipped')",
        )
        .bind(at.micros())
        .bind(&due.order_no)
        .execute(tx.conn())
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

fn from_waybill(waybill: Waybill) -> Option<SeenParcel> {
    (!waybill.tracking_no.is_empty()).then_some(SeenParcel {
        tracking_no: waybill.tracking_no,
        carrier: waybill.carrier_code,
        carrier_name: waybill.carrier_name,
        serial_nos: waybill.serial_nos,
        last_state: String::new(),
        delivered_at: None,
    })
}

fn from_parcel(parcel: Parcel) -> Option<SeenParcel> {
    let name = parcel.carrier.unwrap_or_default();
    (!parcel.tracking_no.is_empty()).then(|| SeenParcel {
        tracking_no: parcel.tracking_no,
        carrier: String::new(),
        carrier_name: name,
        serial_nos: parcel.serial_nos,
        last_state: parcel.last_state.map(|state| state.text).unwrap_or_default(),
        delivered_at: parcel.delivered_at,
    })
}

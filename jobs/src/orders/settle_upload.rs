//! A person decides about a shipment that WeChat would not take or has lost: it is there already, it is tried anew, or there is
//! nothing to upload.

use serde_json::json;

use super::change::{Change, ChangeError};
use super::upload_shipping::{UploadShipping, upload_key};
use crate::by_hand::{ByHand, NotDone};
use crate::findings::FindingType;
use crate::shop::Shop;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadOutcome {
    /// WeChat has the shipment: somebody saw it there.
    Uploaded,
    /// What was wrong is put right: it is told again. WeChat lets one payment be shipped anew only once.
    Again,
    NotNeeded,
}

/// Carries the decision out.
///
/// # Errors
/// [`NotDone`] when the upload does not wait for a person.
pub async fn settle_upload(
    shop: &Shop,
    order_no: &str,
    outcome: UploadOutcome,
    by: ByHand<'_>,
) -> Result<(), NotDone> {
    let tx = shop.ledger.begin().await?;
    let mut change = Change::within(shop, tx, order_no).await?;
    let tries = waiting(&mut change).await?;
    let (state, again) = match outcome {
        UploadOutcome::Uploaded => ("uploaded", 0),
        UploadOutcome::NotNeeded => ("not_needed", 0),
        UploadOutcome::Again => ("wanted", 1),
    };
    sqlx::query(
        "UPDATE shipping_uploads SET state = $1, tries = tries + $2, touched_at = $3 \
         WHERE order_no = $4 AND state = 'needs_person'",
    )
    .bind(state)
    .bind(again)
    .bind(change.now().micros())
    .bind(order_no)
    .execute(change.tx().conn())
    .await?;
    if outcome == UploadOutcome::Again {
        change.next(&UploadShipping { order_no: order_no.to_owned() }).await?;
    }
    change.event("shipping_upload", by.reason(), json!({ "settled": outcome, "by": by.who })).await?;
    let key = upload_key(order_no, tries);
    for kind in [FindingType::UploadRefused, FindingType::ShipmentMissing] {
        change.tx().resolve_finding(kind, &key, by.who, by.reason()).await?;
    }
    by.note(change.tx(), "upload.settle", order_no, state).await?;
    change.commit().await?;
    Ok(())
}

/// How often it was tried.
async fn waiting(change: &mut Change<'_>) -> Result<i64, NotDone> {
    let order_no = change.order_no().to_owned();
    let row: Option<(String, i64)> =
        sqlx::query_as("SELECT state, tries FROM shipping_uploads WHERE order_no = $1")
            .bind(&order_no)
            .fetch_optional(change.tx().conn())
            .await
            .map_err(ChangeError::from)?;
    match row {
        Some((state, tries)) if state == "needs_person" => Ok(tries),
        Some((state, _)) => {
            Err(NotDone::NotOpen(format!("the upload of {order_no} is {state}: nothing is to be decided")))
        }
        None => Err(NotDone::NoSuch(format!("the order {order_no} has no upload"))),
    }
}

//! The parcels of an order, as whoever looked saw them.

use serde_json::json;
use windlass_engine::Timestamp;

use super::change::{Change, ChangeError};
use super::standing::{self, ParcelRow};
use super::upload_shipping::UploadShipping;

/// A parcel as an outside system tells of it; what it does not say is empty.
#[derive(Clone, Debug)]
pub struct SeenParcel {
    pub tracking_no: String,
    /// The carrier's short code, such as `SF`.
    pub carrier: String,
    pub carrier_name: String,
    pub serial_nos: Vec<String>,
    pub last_state: String,
    pub delivered_at: Option<Timestamp>,
}

/// Whether anything was seen that is not known yet: most looks find nothing new, and write nothing.
pub fn has_news(known: &[ParcelRow], seen: &[SeenParcel]) -> bool {
    seen.iter().any(|parcel| {
        known.iter().find(|known| known.tracking_no == parcel.tracking_no).is_none_or(|known| {
            parcel.delivered_at.is_some() && known.delivered_at.is_none()
                || !parcel.last_state.is_empty() && known.last_state != parcel.last_state
        })
    })
}

/// Writes down what was seen; what one side did not say keeps what the other said. Answers all parcels of the
/// order.
pub async fn record_parcels(
    change: &mut Change<'_>,
    seen: &[SeenParcel],
) -> Result<Vec<ParcelRow>, ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    let known = standing::parcels(change.tx().conn(), &order_no).await?;
    for parcel in seen {
        let before = known.iter().find(|known| known.tracking_no == parcel.tracking_no);
        let serials = serde_json::to_string(&parcel.serial_nos).unwrap_or_else(|_| "[]".to_owned());
        sqlx::query(
            "INSERT INTO parcels (order_no, tracking_no, carrier, carrier_name, serials, last_state, seen_at, \
             delivered_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (order_no, tracking_no) DO UPDATE SET \
             carrier = CASE WHEN excluded.carrier = '' THEN parcels.carrier ELSE excluded.carrier END, \
             carrier_name = CASE WHEN parcels.carrier_name = '' THEN excluded.carrier_name ELSE parcels.carrier_name END, \
             serials = CASE WHEN excluded.serials = '[]' THEN parcels.serials ELSE excluded.serials END, \
             last_state = CASE WHEN excluded.last_state = '' THEN parcels.last_state ELSE excluded.last_state END, \
             delivered_at = COALESCE(parcels.delivered_at, excluded.delivered_at)",
        )
        .bind(&order_no)
        .bind(&parcel.tracking_no)
        .bind(&parcel.carrier)
        .bind(&parcel.carrier_name)
        .bind(serials)
        .bind(&parcel.last_state)
        .bind(now)
        .bind(parcel.delivered_at.map(Timestamp::micros))
        .execute(change.tx().conn())
        .await?;
        let data = json!({ "tracking_no": parcel.tracking_no, "carrier": parcel.carrier_name });
        if before.is_none() {
            change.event("parcel", "shipped", data.clone()).await?;
        }
        if parcel.delivered_at.is_some() && before.is_none_or(|before| before.delivered_at.is_none()) {
            change.event("parcel", "delivered", data).await?;
        }
    }
    Ok(standing::parcels(change.tx().conn(), &order_no).await?)
}

/// WeChat must hear of the shipment before it lets go of the money: once for an order.
pub async fn want_upload(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    let wanted = sqlx::query(
        "INSERT INTO shipping_uploads (order_no, state, touched_at) VALUES ($1, 'wanted', $2) \
         ON CONFLICT (order_no) DO NOTHING",
    )
    .bind(&order_no)
    .bind(now)
    .execute(change.tx().conn())
    .await?;
    if wanted.rows_affected() == 0 {
        return Ok(());
    }
    change.next(&UploadShipping { order_no }).await
}

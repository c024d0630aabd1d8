//! Tells WeChat that the goods left, so that the money is let go. One payment may be shipped anew only once, so
//! after a lost answer WeChat is asked before it is told again (facts: wechat-mini-program.md 3, 6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::change::{Case, Change, ChangeError};
use super::standing::{self, LineRow, ParcelRow, Standing};
use super::{STEP_ATTEMPTS_MAX, STEP_BACKOFF};
use crate::effect::{Asked, Effect, EffectKind, Ended, perform};
use crate::findings::FindingType;
use crate::mini_program::{
    Contact, LogisticsType, PaidOrder, SHIPPING_LIST_MAX, Settled, ShippedParcel, ShippingUpload, Split,
    UploadAnswer, settle,
};
use crate::outside::{Fault, OutsideError, System};
use crate::shop::Shop;

/// The carrier's id for a parcel whose carrier WeChat has no id for.
const OTHER_CARRIER: &str = "OTHERS";
/// Why there is nothing to upload any more.
const REFUNDED: &str = "refunded";

/// Uploads the shipment of an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadShipping {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

/// What is kept of the upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Uploaded {
    Ours,
}

impl Job for UploadShipping {
    const KIND: &'static str = "upload_shipping";
    const QUEUE: &'static str = "wechat_mini";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(tries) = wanted(shop, &self.order_no).await? else {
            return Ok(Outcome::result(json!({ "skipped": "no upload is wanted" })));
        };
        let upload = upload(shop, &self.order_no).await?;
        let key = upload_key(&self.order_no, tries);
        let effect = effect(&key, &self.order_no);
        let ended = perform(&shop.ledger, effect, || ask(shop, &upload), || tell(shop, &upload)).await?;

        let mut change = Change::begin(shop, job, &self.order_no).await?;
        match ended {
            Ended::Done(Uploaded::Ours) => record(&mut change, "uploaded", "").await?,
            Ended::Refused { code, reason } if code == REFUNDED => {
                record(&mut change, "not_needed", &reason).await?;
            }
            Ended::Refused { code, reason } => {
                let note = format!("{code}: {reason}");
                record(&mut change, "needs_person", &note).await?;
                let why = "WeChat does not take the shipment, and keeps the money: see the note, put it right, then \
                           settle the upload";
                let case = Case::new(FindingType::UploadRefused, &key, why).data(json!({ "note": note }));
                change.needs_person(case).await?;
            }
            Ended::InDoubt { .. } => {
                return Err(JobError::retry(anyhow::anyhow!("whether WeChat has the shipment is not known")));
            }
        }
        change.commit().await?;
        Ok(Outcome::done())
    }
}

fn effect<'a>(upload_key: &'a str, order_no: &'a str) -> Effect<'a> {
    Effect { kind: EffectKind::UploadShipping, of: upload_key, about: order_no }
}

/// A try that a person asked for after a refusal is another effect.
pub fn upload_key(order_no: &str, tries: i64) -> String {
    if tries <= 1 { order_no.to_owned() } else { format!("{order_no}#{tries}") }
}

/// Settles the effect of an upload by what was recorded of it.
pub async fn upload_is_known(change: &mut Change<'_>, how: &str) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    let row: Option<(String, String, i64)> =
        sqlx::query_as("SELECT state, note, tries FROM shipping_uploads WHERE order_no = $1")
            .bind(&order_no)
            .fetch_optional(change.tx().conn())
            .await?;
    match row {
        Some((state, _, tries)) if state == "uploaded" => {
            let key = upload_key(&order_no, tries);
            change.tx().effect_happened(effect(&key, &order_no), &Uploaded::Ours, how).await?;
        }
        Some((state, note, tries)) if state != "wanted" => {
            let key = upload_key(&order_no, tries);
            change.tx().effect_did_not_happen(effect(&key, &order_no), &state, &note).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Which try it is; None: nothing is to be uploaded.
async fn wanted(shop: &Shop, order_no: &str) -> Result<Option<i64>, JobError> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT tries FROM shipping_uploads WHERE order_no = $1 AND state = 'wanted'")
            .bind(order_no)
            .fetch_optional(shop.ledger.reads())
            .await?;
    Ok(row.map(|(tries,)| tries))
}

async fn record(change: &mut Change<'_>, state: &str, note: &str) -> Result<(), ChangeError> {
    let now = change.now().micros();
    let order_no = change.order_no().to_owned();
    sqlx::query(
        "UPDATE shipping_uploads SET state = $1, note = $2, touched_at = $3 WHERE order_no = $4 AND state = 'wanted'",
    )
    .bind(state)
    .bind(note)
    .bind(now)
    .bind(&order_no)
    .execute(change.tx().conn())
    .await?;
    change.event("shipping_upload", state, json!({ "note": note })).await
}

async fn ask(shop: &Shop, upload: &ShippingUpload) -> Result<Asked<Uploaded>, OutsideError> {
    // Not known there (yet) means that nothing of ours can be there.
    let Some(order) = shop.mini_program.get_order(&upload.order).await? else {
        return Ok(Asked::NeverHeard);
    };
    Ok(match settle(&order, &tracking_nos(upload)) {
        Settled::Done => Asked::Happened(Uploaded::Ours),
        Settled::Refunded => refused(REFUNDED, "the payment was refunded"),
        Settled::Person => {
            refused("other_parcels", "WeChat has other parcels, and one chance to change them")
        }
        Settled::SendAgain => Asked::NeverHeard,
    })
}

fn refused(code: &str, reason: &str) -> Asked<Uploaded> {
    Asked::Refused { code: code.to_owned(), reason: reason.to_owned() }
}

async fn tell(shop: &Shop, upload: &ShippingUpload) -> Result<Uploaded, OutsideError> {
    match shop.mini_program.upload_shipping_info(upload).await? {
        UploadAnswer::Done | UploadAnswer::Unchanged => Ok(Uploaded::Ours),
        UploadAnswer::AskOrder { code } => match ask(shop, upload).await? {
            Asked::Happened(uploaded) => Ok(uploaded),
            Asked::Refused { code, reason } => {
                let fault = Fault::Refused { code };
                Err(OutsideError::new(System::MiniProgram, "upload_shipping_info", fault, &reason))
            }
            Asked::NeverHeard | Asked::CannotTell => {
                let detail = format!("code {code}, and get_order has nothing of it");
                Err(OutsideError::new(System::MiniProgram, "upload_shipping_info", Fault::InDoubt, &detail))
            }
        },
    }
}

fn tracking_nos(upload: &ShippingUpload) -> Vec<String> {
    upload.parcels.iter().map(|parcel| parcel.tracking_no.clone()).collect()
}

async fn upload(shop: &Shop, order_no: &str) -> Result<ShippingUpload, JobError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    let standing = Standing::read(&mut conn, order_no).await?;
    let standing = standing.ok_or_else(|| JobError::fail(anyhow::anyhow!("no order {order_no}")))?;
    let lines = standing::lines(&mut conn, order_no).await?;
    let parcels = standing::parcels(&mut conn, order_no).await?;
    drop(conn);
    let Some(transaction_id) = standing.payment.transaction_id.clone() else {
        return Err(JobError::fail(anyhow::anyhow!("the order {order_no} was shipped and never paid")));
    };
    let contact = contact(shop, &standing);
    let parcels: Vec<ShippedParcel> =
        parcels.iter().take(SHIPPING_LIST_MAX).map(|parcel| shipped(parcel, &lines, &contact)).collect();
    Ok(ShippingUpload {
        order: PaidOrder::TransactionId(transaction_id),
        logistics_type: LogisticsType::Express,
        split: (parcels.len() > 1).then_some(Split { is_all_delivered: true }),
        parcels,
        uploaded_at: shop.clock.now(),
        payer_openid: standing.order.openid.clone(),
        paid_at: Timestamp::from_micros(standing.payment.paid_at.unwrap_or(standing.order.recorded_at)),
    })
}

fn contact(shop: &Shop, standing: &Standing) -> Contact {
    match shop.settings.consignor_contact.as_str() {
        "" => Contact::Receiver(standing.order.mobile.clone()),
        phone => Contact::Consignor(phone.to_owned()),
    }
}

fn shipped(parcel: &ParcelRow, lines: &[LineRow], contact: &Contact) -> ShippedParcel {
    let carrier = if parcel.carrier.is_empty() { OTHER_CARRIER } else { &parcel.carrier };
    let goods: Vec<String> = lines.iter().map(|line| format!("{}*{}", line.name, line.quantity)).collect();
    ShippedParcel {
        tracking_no: parcel.tracking_no.clone(),
        express_company: carrier.to_owned(),
        item_desc: goods.join(";"),
        contact: Some(contact.clone()),
    }
}

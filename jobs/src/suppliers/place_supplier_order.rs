//! Hands an order to YLH: written down before the call, and told again under the same number when the answer was
//! lost. The answer only means "received"; the confirm callback decides (facts: ylh.md 4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::CancelSupplierOrder;
use super::book::{record_sending, set_cancel, set_supplier};
use super::supplier_order::{CancelState, SupplierState, so_id};
use super::ylh::{Consignee, Created, SupplierLine, SupplierOrder};
use crate::effect::{Asked, Effect, EffectKind, Ended, Told, perform};
use crate::findings::FindingType;
use crate::money::Fen;
use crate::orders::{
    Case, Change, ChangeError, LineRow, OrderRow, OrderState, STEP_ATTEMPTS_MAX, STEP_BACKOFF, give_up,
    standing, wind_down,
};
use crate::outside::OutsideError;
use crate::shop::Shop;

/// Places the order with its supplier.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceSupplierOrder {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

/// What is kept of YLH's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Placed {
    haier_no: Option<String>,
    /// YLH knew the number already: an answer of ours was lost.
    duplicate: bool,
}

impl Job for PlaceSupplierOrder {
    const KIND: &'static str = "place_supplier_order";
    const QUEUE: &'static str = "ylh";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        if !intend(shop, job, &self.order_no).await? {
            return Ok(Outcome::result(json!({ "skipped": "the order is not waiting for this" })));
        }
        let order = supplier_order(shop, &self.order_no).await?;
        let ended = perform(
            &shop.ledger,
            effect(&order.so_id, &self.order_no),
            // There is no order query at YLH: the same number and body is the question.
            || async { Ok(Asked::CannotTell) },
            || tell(shop, &order),
        )
        .await?;
        let mut change = Change::begin(shop, job, &self.order_no).await?;
        match ended {
            Ended::Done(placed) => accepted(&mut change, placed).await,
            Ended::Refused { code, reason } => refused(&mut change, &format!("{code} {reason}")).await,
            Ended::InDoubt { .. } => {
                return Err(JobError::retry(anyhow::anyhow!("whether YLH has the order is not known")));
            }
        }?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}

const WITHDRAWN: &str = "withdrawn";
const NEVER_TOLD: &str = "the order was given up before it was told";

/// Writes down that the supplier may have the order from now on. False: nothing is to be placed.
async fn intend(shop: &Shop, job: &JobContext, order_no: &str) -> Result<bool, ChangeError> {
    let mut change = Change::begin(shop, job, order_no).await?;
    match change.standing.supplier.as_ref().map(|supplier| supplier.state) {
        None if change.state() == OrderState::Checked => {
            record_sending(&mut change).await?;
            change.commit().await?;
            Ok(true)
        }
        // Also for an order that is being wound down meanwhile: what is in doubt must be settled first, unless
        // nothing of it can have left us.
        Some(SupplierState::Sending) if change.state().is_winding_down() => {
            if change.tx().effect_told(effect(&so_id(order_no), order_no)).await? != Told::Never {
                return Ok(true);
            }
            let of = so_id(order_no);
            change.tx().effect_not_needed(effect(&of, order_no), WITHDRAWN, NEVER_TOLD).await?;
            set_supplier(&mut change, SupplierState::Withdrawn, None, "never told").await?;
            wind_down(&mut change).await?;
            change.commit().await?;
            Ok(false)
        }
        Some(SupplierState::Sending) => Ok(true),
        _ => Ok(false),
    }
}

fn effect<'a>(so_id: &'a str, order_no: &'a str) -> Effect<'a> {
    Effect { kind: EffectKind::YlhCreate, of: so_id, about: order_no }
}

/// YLH speaks of the order: it has it, whatever became of our own call.
pub(crate) async fn is_there(change: &mut Change<'_>, haier_no: &str, how: &str) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    let haier_no = Some(haier_no).filter(|number| !number.is_empty()).map(str::to_owned);
    let placed = Placed { haier_no, duplicate: false };
    change.tx().effect_happened(effect(&so_id(&order_no), &order_no), &placed, how).await?;
    Ok(())
}

/// As [`is_there`], by where the order stands: only YLH itself, or nobody's having told it, takes it out of `sending`.
pub(crate) async fn is_known(change: &mut Change<'_>, how: &str) -> Result<(), ChangeError> {
    match change.standing.supplier.clone() {
        None => Ok(()),
        Some(supplier) if supplier.state == SupplierState::Sending => Ok(()),
        Some(supplier) if supplier.state == SupplierState::Withdrawn => withdraw(change).await,
        Some(supplier) => is_there(change, &supplier.haier_no, how).await,
    }
}

async fn withdraw(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    let of = so_id(&order_no);
    change.tx().effect_did_not_happen(effect(&of, &order_no), WITHDRAWN, NEVER_TOLD).await?;
    Ok(())
}

async fn tell(shop: &Shop, order: &SupplierOrder) -> Result<Placed, OutsideError> {
    Ok(match shop.ylh.create(order).await? {
        Created::Accepted { haier_no } => Placed { haier_no, duplicate: false },
        Created::Duplicate => Placed { haier_no: None, duplicate: true },
    })
}

async fn accepted(change: &mut Change<'_>, placed: Placed) -> Result<(), ChangeError> {
    let state = change.standing.supplier.as_ref().map(|supplier| supplier.state);
    if placed.duplicate {
        change.event("supplier", "YLH had the order already: an answer was lost", json!(null)).await?;
        known_before(change).await?;
    }
    // The confirm callback may have come before our own answer: then nothing goes backwards.
    if matches!(state, Some(SupplierState::Sending | SupplierState::Withdrawn)) {
        set_supplier(change, SupplierState::Accepted, placed.haier_no.as_deref(), "").await?;
    }
    match change.state() {
        OrderState::Checked => change.move_to(OrderState::Placed, "YLH received the order").await,
        order if order.is_winding_down() => {
            if change.standing.order.resume_state == OrderState::Checked.as_str() {
                change.set_resume(OrderState::Placed).await?;
            }
            wind_down(change).await
        }
        order if order.wants_no_money() => cancel_what_is_over(change).await,
        _ => Ok(()),
    }
}

/// A number that YLH knows although it was told of it only once is not surely ours (facts: ylh.md 4).
async fn known_before(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let order_no = change.order_no().to_owned();
    let so_id = so_id(&order_no);
    if change.tx().effect_tells(effect(&so_id, &order_no)).await? > 1 {
        return Ok(());
    }
    let key = format!("{so_id}:known-before");
    let why =
        "YLH has an order of this number that we had not sent before: look there whether it is this order";
    change.needs_person(Case::new(FindingType::SupplierRejected, &key, why)).await.map(drop)
}

/// The supplier has an order that is over here: it must not send it (facts: ylh.md 11).
pub(super) async fn cancel_what_is_over(change: &mut Change<'_>) -> Result<(), ChangeError> {
    let open = change.standing.supplier.as_ref().is_some_and(|supplier| {
        supplier.state.is_live() && matches!(supplier.cancel, CancelState::None | CancelState::Done)
    });
    if !open {
        return Ok(());
    }
    set_cancel(change, CancelState::Wanted, "the order is over here").await?;
    let order_no = change.order_no().to_owned();
    change.next(&CancelSupplierOrder { order_no }).await
}

async fn refused(change: &mut Change<'_>, reason: &str) -> Result<(), ChangeError> {
    let state = change.standing.supplier.as_ref().map(|supplier| supplier.state);
    if state == Some(SupplierState::Sending) {
        set_supplier(change, SupplierState::Rejected, None, reason).await?;
    }
    match change.state() {
        OrderState::Checked => give_up(change, OrderState::Refusing, &format!("YLH refused: {reason}")).await,
        _ => wind_down(change).await,
    }
}

/// The same bytes at every try: everything in it comes from the recorded order.
async fn supplier_order(shop: &Shop, order_no: &str) -> Result<SupplierOrder, JobError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    let order = standing::order(&mut conn, order_no).await?;
    let order = order.ok_or_else(|| JobError::fail(anyhow::anyhow!("no order {order_no}")))?;
    let lines = standing::lines(&mut conn, order_no).await?;
    let lines: Option<Vec<_>> = lines.iter().map(supplier_line).collect();
    let lines = lines.ok_or_else(|| JobError::fail(anyhow::anyhow!("a quantity that no order can have")))?;
    Ok(SupplierOrder {
        so_id: so_id(order_no),
        online_no: order_no.to_owned(),
        consignee: consignee(&order),
        remark: order.remark.clone(),
        created_at: Timestamp::from_micros(order.placed_at),
        distribution_at: None,
        install_at: None,
        is_government_order: false,
        lines,
    })
}

fn consignee(order: &OrderRow) -> Consignee {
    Consignee {
        name: order.customer_name.clone(),
        mobile: order.mobile.clone(),
        province: order.province.clone(),
        city: order.city.clone(),
        area: order.area.clone(),
        town: order.town.clone(),
        detail_address: order.detail.clone(),
    }
}

fn supplier_line(line: &LineRow) -> Option<SupplierLine> {
    Some(SupplierLine {
        product_code: line.product_code.clone(),
        quantity: u32::try_from(line.quantity).ok()?,
        retail_price: Fen(line.unit_price_fen),
        discount: Fen(line.discount_fen),
        is_gift: line.actual_fen() == 0,
    })
}

//! Asks YLH to cancel. The answer only means that it was asked; the cancel callback says what came of it, maybe
//! days later (facts: ylh.md 5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome};

use super::book::set_cancel;
use super::let_go::{kept, let_go};
use super::supplier_order::{CancelState, SupplierState};
use super::ylh::CancelAsked;
use crate::effect::{Asked, Effect, EffectKind, Ended, Told, perform};
use crate::orders::{Change, ChangeError, STEP_ATTEMPTS_MAX, STEP_BACKOFF, Standing};
use crate::outside::OutsideError;
use crate::shop::Shop;

/// Characters of the reason that YLH is given.
const REASON_CHARS_MAX: usize = 100;

/// Asks the supplier to cancel an order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelSupplierOrder {
    #[schemars(length(min = 1, max = 32))]
    pub order_no: String,
}

impl Job for CancelSupplierOrder {
    const KIND: &'static str = "cancel_supplier_order";
    const QUEUE: &'static str = "ylh";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.order_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let standing = Standing::read(&mut conn, &self.order_no).await?;
        drop(conn);
        let supplier = standing.as_ref().and_then(|standing| standing.supplier.clone());
        let (Some(standing), Some(supplier)) = (standing, supplier) else {
            return Ok(Outcome::result(json!({ "skipped": "nothing was placed" })));
        };
        if supplier.cancel != CancelState::Wanted {
            return Ok(Outcome::result(json!({ "skipped": "no cancel is wanted" })));
        }

        let asked = nth_cancel(&supplier.so_id, supplier.cancels);
        let reason = match standing.order.reason.as_str() {
            // A return: the order itself is not given up.
            "" => supplier.return_reason.as_str(),
            reason => reason,
        };
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let ended = perform(
            &shop.ledger,
            effect(&asked, &self.order_no),
            || async { Ok(Asked::CannotTell) },
            || tell(shop, &supplier.so_id, &reason),
        )
        .await?;

        let mut change = Change::begin(shop, job, &self.order_no).await?;
        record(&mut change, ended).await?;
        change.commit().await?;
        Ok(Outcome::done())
    }
}

fn effect<'a>(nth_cancel: &'a str, order_no: &'a str) -> Effect<'a> {
    Effect { kind: EffectKind::YlhCancel, of: nth_cancel, about: order_no }
}

/// A cancel that failed and is wanted again later is another effect.
fn nth_cancel(so_id: &str, cancels: i64) -> String {
    if cancels <= 1 { so_id.to_owned() } else { format!("{so_id}#{cancels}") }
}

/// YLH said what came of the newest cancel, or the order went on without one: each was heard, unless no call of ours
/// can have reached YLH.
pub(crate) async fn is_answered(change: &mut Change<'_>, how: &str) -> Result<(), ChangeError> {
    let Some(supplier) = change.standing.supplier.clone() else { return Ok(()) };
    let already_cancelled = supplier.state == SupplierState::Cancelled;
    for nth in 1..=supplier.cancels {
        let (asked, order_no) = (nth_cancel(&supplier.so_id, nth), change.order_no().to_owned());
        let effect = effect(&asked, &order_no);
        match change.tx().effect_told(effect).await? {
            Told::Perhaps => {
                change.tx().effect_happened(effect, &already_cancelled, how).await?;
            }
            Told::Never => {
                let never = "the supplier let go of the order before it was asked";
                change.tx().effect_not_needed(effect, "not_needed", never).await?;
            }
            Told::Ended => {}
        }
    }
    Ok(())
}

/// Whether YLH said that it had cancelled before.
async fn tell(shop: &Shop, so_id: &str, reason: &str) -> Result<bool, OutsideError> {
    let reason = if reason.is_empty() { "取消" } else { reason };
    let asked = shop.ylh.cancel(so_id, reason, shop.clock.now()).await?;
    Ok(asked == CancelAsked::AlreadyCancelled)
}

async fn record(change: &mut Change<'_>, ended: Ended<bool>) -> Result<(), ChangeError> {
    // The callback may have been faster than our own answer.
    if change.standing.supplier.as_ref().is_none_or(|supplier| supplier.cancel != CancelState::Wanted) {
        return Ok(());
    }
    match ended {
        Ended::Done(false) => set_cancel(change, CancelState::Asked, "").await,
        Ended::Done(true) => let_go(change, None, "cancelled before").await,
        Ended::Refused { code, reason } => kept(change, &format!("{code} {reason}")).await,
        // The callback will tell; the watch sees to it that somebody hears when it does not.
        Ended::InDoubt { .. } => set_cancel(change, CancelState::Asked, "in doubt").await,
    }
}

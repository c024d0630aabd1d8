//! Heals a case that reconciliation found: asks WeChat afresh, and lets the books follow its answer on the very way
//! that a callback goes. A bill alone never moves money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{AcceptedBy, Backoff, Job, JobContext, JobError, Outcome};

use crate::findings::{Finding, FindingType, finding};
use crate::ledger::{LedgerError, MoneyLine};
use crate::orders::{Change, STEP_ATTEMPTS_MAX, STEP_BACKOFF, refund_row};
use crate::payments::{RefundNews, RefundState, Trade, ask_trade, record_refund, refund_news, take_money};
use crate::shop::Shop;

const WHO: &str = "heal_finding";

/// Asks WeChat for what a finding is about, and resolves it when the answer puts the books right.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealFinding {
    #[schemars(length(min = 1, max = 64))]
    pub finding_id: String,
}

impl Job for HealFinding {
    const KIND: &'static str = "heal_finding";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.finding_id.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let case = finding(&shop.ledger, &self.finding_id).await?;
        let Some(case) = case.filter(|case| !case.state.is_settled()) else {
            return Ok(Outcome::result(json!({ "skipped": "the finding is settled" })));
        };
        let healed = match (case.kind, case.evidence["out_refund_no"].as_str()) {
            (FindingType::Status, Some(refund_no)) => heal_refund(shop, job, &case, refund_no).await?,
            (FindingType::Long | FindingType::LatePay | FindingType::Status, None) => {
                heal_payment(shop, job, &case).await?
            }
            _ => return Err(JobError::fail(anyhow::anyhow!("a {} is not healed", case.kind.as_str()))),
        };
        let outcome = if healed { "healed" } else { "left" };
        metrics::counter!("windlass_heals_total", "outcome" => outcome).increment(1);
        Ok(Outcome::result(json!({ "healed": healed })))
    }
}

/// The answer must be of the very transaction and amount that the bill has.
async fn heal_payment(shop: &Shop, job: &JobContext, case: &Finding) -> Result<bool, JobError> {
    let Some(order_no) = case.order_no.as_deref() else { return Ok(false) };
    let answer = ask_trade(shop, order_no).await?;
    let told = match &answer {
        Trade::Paid(money) => {
            json!({ "state": "paid", "transaction_id": money.transaction_id, "amount_fen": money.amount_fen })
        }
        Trade::Open => json!({ "state": "open" }),
        Trade::Closed => json!({ "state": "closed" }),
        Trade::Unknown => json!({ "state": "unknown" }),
    };
    let agreed = match answer {
        Trade::Paid(money) => Some(money).filter(|money| {
            case.evidence["transaction_id"] == json!(money.transaction_id)
                && case.evidence["amount_fen"] == json!(money.amount_fen)
        }),
        _ => None,
    };
    let Some(money) = agreed else {
        note(shop, case, &told).await?;
        return Ok(false);
    };
    let mut change = Change::begin(shop, job, order_no).await?;
    // Another amount than the order's would be taken as disputed: that is for a person to see first.
    if change.standing.payment.amount_fen != money.amount_fen {
        drop(change);
        note(shop, case, &told).await?;
        return Ok(false);
    }
    take_money(&mut change, &money).await?;
    resolve(change, case, &told, "WeChat said the same when asked afresh, and the money was taken").await?;
    Ok(true)
}

async fn heal_refund(
    shop: &Shop,
    job: &JobContext,
    case: &Finding,
    refund_no: &str,
) -> Result<bool, JobError> {
    let mut conn = shop.ledger.reads().acquire().await?;
    let refund = refund_row(&mut conn, refund_no).await?;
    drop(conn);
    let Some(refund) = refund else { return Ok(false) };
    let answer = refund_news(shop, refund_no).await?;
    let told = answer.as_ref().map_or_else(
        || json!({ "state": "unknown" }),
        |RefundNews { state, refund_id, .. }| json!({ "state": state, "refund_id": refund_id }),
    );
    let Some(news) = answer.filter(|news| case.evidence["refund_id"] == json!(news.refund_id)) else {
        note(shop, case, &told).await?;
        return Ok(false);
    };
    let mut change = Change::begin(shop, job, &refund.order_no).await?;
    record_refund(&mut change, refund_no, &news).await?;
    let now = change.standing.refunds.iter().find(|refund| refund.refund_no == refund_no);
    if now.is_none_or(|now| matches!(now.state, RefundState::Requested | RefundState::Refused)) {
        drop(change);
        note(shop, case, &told).await?;
        return Ok(false);
    }
    resolve(change, case, &told, "WeChat said the same when asked afresh, and the refund was recorded")
        .await?;
    Ok(true)
}

/// Settles the case in the very transaction that put the books right.
async fn resolve(mut change: Change<'_>, case: &Finding, told: &Value, why: &str) -> Result<(), JobError> {
    change.tx().add_evidence(&case.id, "fresh_query", told).await?;
    change.tx().resolve_finding(case.kind, &case.key, WHO, why).await?;
    let line = MoneyLine::new("reconciliation.healed", change.order_no()).how(case.kind.as_str());
    let line = match case.amount_fen {
        Some(amount_fen) => line.amount(amount_fen),
        None => line,
    };
    change.tx().money(line.transaction(case.evidence["transaction_id"].as_str().unwrap_or_default()));
    change.commit().await?;
    Ok(())
}

/// The case stays open, with what WeChat answered.
async fn note(shop: &Shop, case: &Finding, told: &Value) -> Result<(), LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    tx.add_evidence(&case.id, "fresh_query", told).await?;
    tx.commit().await
}

//! Follows a refund that WeChat accepted until it is final: the callback may be lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Backoff, Job, JobContext, JobError, Outcome, Timestamp};

use super::refund::RefundState;
use super::refund_book::{RefundNews, record_refund};
use super::request_refund::RefundAnswer;
use crate::findings::FindingType;
use crate::orders::{Case, Change, ChangeError, RefundRow, STEP_ATTEMPTS_MAX, STEP_BACKOFF, refund_row};
use crate::shop::Shop;
use crate::verdict;

/// Asks WeChat where a refund stands, on its polling scheme.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryRefund {
    #[schemars(length(min = 1, max = 64))]
    pub refund_no: String,
}

impl Job for QueryRefund {
    const KIND: &'static str = "query_refund";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = STEP_ATTEMPTS_MAX;
    const BACKOFF: Backoff = STEP_BACKOFF;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.refund_no.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let mut conn = shop.ledger.reads().acquire().await?;
        let refund = refund_row(&mut conn, &self.refund_no).await?;
        drop(conn);
        // An abnormal one is settled by a person at WeChat, which tells nobody.
        let is_open = |state: RefundState| !state.is_final() || state == RefundState::Abnormal;
        let Some(refund) = refund.filter(|refund| is_open(refund.state)) else {
            return Ok(Outcome::result(json!({ "skipped": "the refund is settled" })));
        };

        let news = refund_news(shop, &self.refund_no).await?;
        let known = news.is_some();
        if let Some(news) = news.filter(|news| news.state != refund.state) {
            let settled = news.state.is_final();
            let mut change = Change::begin(shop, job, &refund.order_no).await?;
            record_refund(&mut change, &self.refund_no, &news).await?;
            change.commit().await?;
            if settled {
                return Ok(Outcome::result(json!({ "state": news.state.as_str() })));
            }
        }
        if refund.state == RefundState::Abnormal {
            return Ok(Outcome::result(json!({ "state": refund.state.as_str() })));
        }
        let age = shop.clock.now().since(Timestamp::from_micros(refund.requested_at));
        match shop.settings.next_refund_poll(age) {
            Some(next) if known => Err(JobError::snooze(next.saturating_sub(age), "WeChat works on it")),
            Some(next) => Err(JobError::snooze(next.saturating_sub(age), "WeChat does not know it yet")),
            None => {
                never_settled(shop, job, &refund).await?;
                Ok(Outcome::result(json!({ "state": refund.state.as_str(), "left_to_a_person": true })))
            }
        }
    }
}

/// Somebody should ask WeChat; the sweep goes on asking, too.
async fn never_settled(shop: &Shop, job: &JobContext, refund: &RefundRow) -> Result<(), ChangeError> {
    let mut change = Change::begin(shop, job, &refund.order_no).await?;
    let why = "WeChat has worked on the refund for a week and not ended it: ask there what keeps it";
    let data = json!({ "refund_no": refund.refund_no, "requested_at": refund.requested_at });
    let case = Case::new(FindingType::MissingRefund, &refund.refund_no, why);
    change.needs_person(case.amount(refund.amount_fen).data(data)).await?;
    change.commit().await
}

/// Asks WeChat how a refund stands; None: it does not know it.
pub(crate) async fn refund_news(shop: &Shop, refund_no: &str) -> Result<Option<RefundNews>, JobError> {
    let found = shop.wechat_pay.query_refund(refund_no).await.map_err(verdict::of_outside)?;
    Ok(found.map(|found| RefundAnswer::from(found).news()))
}

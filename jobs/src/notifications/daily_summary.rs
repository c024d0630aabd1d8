//! Tells whoever runs the shop how the day was: once for each day and address, however often and by however many it is
//! asked for.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, Outcome};

use super::notify::notify_shop;
use super::summary::{Day, summarize};
use crate::shop::Shop;
use crate::shop_time::in_beijing;

/// Sends the summary of one day by mail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DailySummary {
    /// `2026-11-21` on Beijing's calendar; none: the day before the one on which the job was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub day: Option<String>,
}

impl Job for DailySummary {
    const KIND: &'static str = "daily_summary";
    const QUEUE: &'static str = "mail";
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let day = self.day(job)?;
        if !day.is_over(shop.clock.now()) {
            return Err(JobError::fail(anyhow::anyhow!("{day} is not over: it has no summary yet")));
        }
        let settings = &shop.settings;
        if settings.summary_to.is_empty() || settings.mail_from.is_empty() {
            return Ok(Outcome::result(json!({ "day": day.to_string(), "skipped": "nobody is to be told" })));
        }
        let summary = summarize(shop, day).await?;
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        let queued = notify_shop(&mut tx, &day.to_string(), &settings.summary_to, &summary).await?;
        tx.commit().await?;
        Ok(Outcome::result(json!({ "day": day.to_string(), "told": queued })))
    }
}

impl DailySummary {
    fn day(&self, job: &JobContext) -> Result<Day, JobError> {
        let date = match &self.day {
            Some(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
            // Of when it was due, not of now: an hour late after midnight it is still about the same day.
            None => {
                let due = job.fired_by().map_or(job.created_at(), |fired| fired.instant);
                in_beijing(due).date_naive().pred_opt()
            }
        };
        let day = date.and_then(Day::of);
        day.ok_or_else(|| JobError::fail(anyhow::anyhow!("{:?} is no day such as 2026-11-21", self.day)))
    }
}

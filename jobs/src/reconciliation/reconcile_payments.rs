//! Compares a day's bills with our books, once they are there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, Outcome};

use super::compare::{COMPARE_TIME_MAX, Compared, Wanted, compare};
use super::day::Day;
use crate::shop::Shop;

/// Compares the newest bills of a day with the ledger. The same files are compared once.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconcilePayments {
    /// yyyy-MM-dd on Beijing's calendar.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub day: String,
    /// Also where the same files were compared before: our books may have changed since.
    #[serde(default)]
    pub again: bool,
}

impl Job for ReconcilePayments {
    const KIND: &'static str = "reconcile_payments";
    const QUEUE: &'static str = "payments";
    const TIMEOUT: std::time::Duration = COMPARE_TIME_MAX;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.day.clone())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let day: Day = self.day.parse().map_err(JobError::fail)?;
        let wanted = Wanted::new(shop.wechat_pay.mchid(), day, job.id().as_str(), &shop.settings);
        let wanted = Wanted { again: self.again, ..wanted };
        Ok(match compare(&shop.ledger, &wanted).await? {
            Compared::Done(report) => {
                let findings: u64 = report.findings.values().sum();
                job.log(format!("{} payments matched, {findings} findings", report.payments.matched.count));
                Outcome::result(json!({
                    "version": report.version, "matched": report.payments.matched.count + report.refunds.matched.count,
                    "findings": report.findings,
                }))
            }
            Compared::Refused(reason) => Outcome::result(json!({ "refused": reason })),
            Compared::NoTrade => Outcome::result(json!({ "no_statement": true })),
            Compared::Before(before) => Outcome::result(json!({
                "skipped": "these files were compared before", "version": before.version,
            })),
            Compared::NoBill => {
                Outcome::result(json!({ "skipped": "no bill of that day is there: fetch_bill brings it" }))
            }
            Compared::TakenOver => Outcome::result(json!({ "skipped": "another try has taken over" })),
        })
    }
}

//! At night the books are laid beside WeChat's own list of what was paid and shipped: an upload that WeChat took and
//! does not have keeps the money frozen, and nothing else would ever tell (facts: wechat-mini-program.md 4;
//! commerce-states.md 5, `shipping.sweep`).
//!
//! Nothing is put right here: a difference is a case. Money is compared by `reconcile_payments`, parcels by
//! `track_parcels`; the states of uploads that are under way or wait for a person are nobody's difference.
//!
//! # Both sides move
//!
//! WeChat's list is read first and the books after it, and a suspicion is asked about once more ([`judge`] by a fresh
//! answer) before the order's lock is taken and its upload read again. An upload that is recorded is at WeChat already, and
//! one that WeChat has was wanted here before, so in that order no step of ours in between looks like a difference.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{Backoff, Job, JobContext, JobError, NewJob, Outcome, Timestamp};

use crate::findings::{FindingType, NewFinding};
use crate::mini_program::{OrderState as Shipping, PaidOrder, ShippedOrder};
use crate::payments::bill::parse_day;
use crate::shop::Shop;
use crate::shop_time::{beijing_hour, in_beijing};
use crate::stored::stored_row;
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

mod case;

/// Pages of WeChat's list that one day may have: 50,000 orders.
const PAGES_MAX: usize = 1_000;
/// Payments that are read of the ledger at once.
const OURS_AT_ONCE: i64 = 500;
/// Cases that one comparison of a day raises, and suspicions that it asks WeChat about; what is beyond is counted only.
const CASES_MAX: usize = 200;

/// Compares the orders that were paid on a day with those that WeChat's shipping lists.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareShipments {
    /// `yyyy-MM-dd` on Beijing's calendar; without it: each of the days back that the shop compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub day: Option<String>,
}

impl Job for CompareShipments {
    const KIND: &'static str = "compare_shipments";
    const QUEUE: &'static str = "wechat_mini";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    /// A thousand pages, and some questions more.
    const TIMEOUT: Duration = Duration::from_secs(15 * 60);
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some(self.day.clone().unwrap_or_else(|| "*".to_owned()))
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let Some(text) = &self.day else { return send_for_each_day(shop, job).await };
        let day = parse_day(text)
            .ok_or_else(|| JobError::fail(anyhow::anyhow!("{text:?} is no day such as 2026-01-05")))?;
        if day >= today(shop) {
            return Err(JobError::fail(anyhow::anyhow!("the day {text} is not over")));
        }
        let mut night = Night::of(shop, job, day);
        let listed = night.listed().await?;
        let strangers = night.compare_ours(listed).await?;
        night.look_up(strangers).await?;
        night.close_what_is_over().await?;
        Ok(Outcome::result(night.told()))
    }
}

async fn send_for_each_day(shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
    let today = today(shop);
    let days = (1..=u64::from(shop.settings.shipments_days_back))
        .filter_map(|back| today.checked_sub_days(Days::new(back)));
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    let mut sent = Vec::new();
    for day in days {
        let day = day.to_string();
        let compare = CompareShipments { day: Some(day.clone()) };
        tx.enqueue(&NewJob::of(&compare, &shop.clock).tag(format!("shipments:{day}"))).await?;
        sent.push(day);
    }
    tx.commit().await?;
    Ok(Outcome::result(json!({ "days": sent })))
}

fn today(shop: &Shop) -> NaiveDate {
    in_beijing(shop.clock.now()).date_naive()
}

/// What is wrong between the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    ShipmentMissing,
    ShipmentUnknown,
    PaymentUnlisted,
}

/// A payment of ours, with how far its shipment is told.
#[derive(Clone, Debug)]
struct Ours {
    order_no: String,
    out_trade_no: String,
    transaction_id: String,
    paid_at: i64,
    /// Of the order.
    state: String,
    /// Of the upload; empty: none was ever wanted.
    upload: String,
}

stored_row!(Ours { order_no, out_trade_no, transaction_id, paid_at, state, upload });

/// What the two sides say of one payment, side by side. None of `theirs`: WeChat does not have it.
fn judge(upload: &str, theirs: Option<Shipping>) -> Option<Difference> {
    match (upload, theirs) {
        ("uploaded" | "", None) => Some(Difference::PaymentUnlisted),
        ("uploaded", Some(Shipping::ToShip)) => Some(Difference::ShipmentMissing),
        ("", Some(Shipping::Shipped | Shipping::Received | Shipping::Complete | Shipping::Settled)) => {
            Some(Difference::ShipmentUnknown)
        }
        // Under way, with a person, or given up as there was nothing to upload any more.
        _ => None,
    }
}

/// One comparison of one day.
struct Night<'a> {
    shop: &'a Shop,
    job: &'a JobContext,
    day: NaiveDate,
    from: Timestamp,
    until: Timestamp,
    listed_n: usize,
    ours_n: usize,
    /// Cases of this comparison, by type; new or known.
    found: BTreeMap<&'static str, Vec<String>>,
    asked_n: usize,
    /// What was beyond [`CASES_MAX`].
    not_looked_at: usize,
}

impl<'a> Night<'a> {
    fn of(shop: &'a Shop, job: &'a JobContext, day: NaiveDate) -> Self {
        let (from, next) = (beijing_hour(day, 0), day.succ_opt().unwrap_or(day));
        Self {
            shop,
            job,
            day,
            from,
            until: beijing_hour(next, 0),
            listed_n: 0,
            ours_n: 0,
            found: BTreeMap::new(),
            asked_n: 0,
            not_looked_at: 0,
        }
    }

    /// What WeChat has of the day, by its own numbers; payments to other merchants are none of ours.
    async fn listed(&mut self) -> Result<BTreeMap<String, ShippedOrder>, JobError> {
        let mut listed = BTreeMap::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.shop.mini_program.order_list(self.from, self.until, after.as_deref()).await;
            let page = page.map_err(verdict::of_outside)?;
            let (mchid, from, until) = (self.shop.wechat_pay.mchid(), self.from, self.until);
            let is_of_the_day = |at: Timestamp| from <= at && at < until;
            let of_the_day = page.orders.into_iter().filter(|order| {
                (order.mchid.is_empty() || order.mchid == mchid) && order.paid_at.is_none_or(is_of_the_day)
            });
            listed.extend(of_the_day.map(|order| (order.transaction_id.clone(), order)));
            after = page.next;
            if after.is_none() {
                self.listed_n = listed.len();
                return Ok(listed);
            }
        }
        Err(JobError::fail(anyhow::anyhow!(
            "WeChat lists more than {PAGES_MAX} pages of orders for {}",
            self.day
        )))
    }

    /// Compares each payment of ours; answers what WeChat lists and the books do not have on this day.
    async fn compare_ours(
        &mut self,
        mut listed: BTreeMap<String, ShippedOrder>,
    ) -> Result<BTreeMap<String, ShippedOrder>, JobError> {
        let mut after = (i64::MIN, String::new());
        loop {
            let ours = self.ours(&after).await?;
            let Some(last) = ours.last() else { return Ok(listed) };
            after = (last.paid_at, last.out_trade_no.clone());
            self.ours_n += ours.len();
            for row in &ours {
                let theirs = listed.remove(&row.transaction_id);
                match judge(&row.upload, theirs.as_ref().map(|order| order.state)) {
                    Some(Difference::PaymentUnlisted) if !self.should_be_listed(row) => {}
                    Some(suspected) => self.make_sure(row, suspected).await?,
                    None => count("same"),
                }
            }
        }
    }

    async fn ours(&self, after: &(i64, String)) -> Result<Vec<Ours>, JobError> {
        let rows = sqlx::query_as(
            "SELECT p.order_no AS order_no, p.out_trade_no AS out_trade_no, p.transaction_id AS transaction_id, \
             p.paid_at AS paid_at, o.state AS state, COALESCE(u.state, '') AS upload \
             FROM payments AS p JOIN orders AS o ON o.order_no = p.order_no \
             LEFT JOIN shipping_uploads AS u ON u.order_no = p.order_no \
             WHERE p.state = 'succeeded' AND p.transaction_id IS NOT NULL \
             AND p.paid_at >= $1 AND p.paid_at < $2 AND (p.paid_at, p.out_trade_no) > ($3, $4) \
             ORDER BY p.paid_at, p.out_trade_no LIMIT $5",
        )
        .bind(self.from.micros())
        .bind(self.until.micros())
        .bind(after.0)
        .bind(after.1.clone())
        .bind(OURS_AT_ONCE)
        .fetch_all(self.shop.ledger.reads())
        .await?;
        Ok(rows)
    }

    /// A payment shows there some minutes late, and one whose order was given up need not show at all.
    fn should_be_listed(&self, row: &Ours) -> bool {
        let shows_from = Timestamp::from_micros(row.paid_at)
            + Duration::from_secs(self.shop.settings.upload_unknown_payment_s);
        shows_from < self.shop.clock.now() && !matches!(row.state.as_str(), "cancelled" | "refused")
    }

    /// Asks WeChat once more, and makes a case of what is so still.
    async fn make_sure(&mut self, row: &Ours, suspected: Difference) -> Result<(), JobError> {
        if self.asked_n >= CASES_MAX {
            self.not_looked_at += 1;
            return Ok(());
        }
        self.asked_n += 1;
        let payment = PaidOrder::TransactionId(row.transaction_id.clone());
        let fresh = self.shop.mini_program.get_order(&payment).await.map_err(verdict::of_outside)?;
        let still = judge(&row.upload, fresh.as_ref().map(|order| order.state));
        // What the list did not have may be there and tell of another difference.
        let Some(difference) =
            still.filter(|still| *still == suspected || suspected == Difference::PaymentUnlisted)
        else {
            count("same");
            return Ok(());
        };
        self.raise(row, difference, fresh.as_ref()).await
    }

    /// Of what WeChat lists and the day's books do not have: that which no order here ever had is money that came for
    /// nobody. An order whose payment is still asked for, or dated otherwise, is not this job's to judge.
    async fn look_up(&mut self, strangers: BTreeMap<String, ShippedOrder>) -> Result<(), JobError> {
        let known_after = Duration::from_secs(self.shop.settings.unknown_order_after_s);
        for (transaction_id, order) in &strangers {
            let is_young = order.paid_at.is_none_or(|at| self.shop.clock.now().since(at) < known_after);
            if is_young || self.is_known(transaction_id, &order.out_trade_no).await? {
                continue;
            }
            if self.found.get(FindingType::Long.as_str()).is_some_and(|found| found.len() >= CASES_MAX) {
                self.not_looked_at += 1;
                continue;
            }
            let mut tx = self.shop.ledger.begin().await?;
            tx.on_behalf_of(self.job.id());
            tx.raise(&NewFinding {
                kind: FindingType::Long,
                key: transaction_id,
                order_no: Some(&order.out_trade_no),
                amount_fen: order.paid_fen,
                text: "WeChat lists a paid order that nobody handed in: look for its fulfil_order among the dead jobs \
                       and hand it in again, or give the money back",
                evidence: json!({ "day": self.day.to_string(), "out_trade_no": order.out_trade_no }),
            })
            .await?;
            tx.commit().await?;
            count(self.remember(FindingType::Long, transaction_id));
        }
        Ok(())
    }

    async fn is_known(&self, transaction_id: &str, out_trade_no: &str) -> Result<bool, JobError> {
        let known: Option<(String,)> = sqlx::query_as(
            "SELECT order_no FROM payments WHERE transaction_id = $1 OR out_trade_no = $2 LIMIT 1",
        )
        .bind(transaction_id)
        .bind(out_trade_no)
        .fetch_optional(self.shop.ledger.reads())
        .await?;
        Ok(known.is_some())
    }

    fn told(&self) -> Value {
        let found: BTreeMap<_, _> = self.found.iter().map(|(kind, ids)| (kind, ids.len())).collect();
        json!({
            "day": self.day.to_string(),
            "listed": self.listed_n,
            "ours": self.ours_n,
            "found": found,
            "not_looked_at": self.not_looked_at,
        })
    }
}

fn count(found: &'static str) {
    metrics::counter!("windlass_shipments_compared_total", "found" => found).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_come_right_by_itself_is_a_difference() {
        for (upload, theirs, difference) in [
            ("uploaded", Some(Shipping::Shipped), None),
            ("uploaded", Some(Shipping::Refunded), None),
            ("uploaded", Some(Shipping::ToShip), Some(Difference::ShipmentMissing)),
            ("uploaded", None, Some(Difference::PaymentUnlisted)),
            ("wanted", Some(Shipping::Shipped), None),
            ("wanted", None, None),
            ("needs_person", Some(Shipping::ToShip), None),
            ("not_needed", Some(Shipping::Shipped), None),
            ("", Some(Shipping::ToShip), None),
            ("", Some(Shipping::Refunded), None),
            ("", Some(Shipping::Other(9)), None),
            ("", Some(Shipping::Received), Some(Difference::ShipmentUnknown)),
            ("", None, Some(Difference::PaymentUnlisted)),
        ] {
            assert_eq!(judge(upload, theirs), difference, "{upload} {theirs:?}");
        }
    }
}

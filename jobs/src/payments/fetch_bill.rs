//! Fetches the bills of a day, as soon as WeChat has made them and again when it has changed them.
//!
//! Without a day or a type it sends a job for each bill that is wanted; with both it fetches that one. What the
//! rows mean is `reconcile_payments`' affair, which is sent as soon as a day's bills are there.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{Backoff, Job, JobContext, JobError, NewJob, Outcome};

use super::bill::{
    BillKey, BillState, BillType, BillWriter, Sealed, Standing, abandon, expire_files, parse_day, ready_file,
    standing,
};
use super::wechat_pay::{BillAnswer, BillLink, DownloadError, Packing};
use crate::shop::Shop;
use crate::shop_time::{beijing_hour, in_beijing};
use crate::verdict::{self, LOOK_ATTEMPTS_MAX, LOOK_BACKOFF};

mod settle;

use settle::{Refusal, is_wrong_again, known, make_ready, no_statement, not_made, refuse};

/// Files that one run lets go of; there are some runs a day.
const EXPIRED_AT_ONCE: u32 = 20;

/// Fetches bills of WeChat Pay.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchBill {
    /// `yyyy-MM-dd` on Beijing's calendar; without it: yesterday, and the days before that are wanted still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub day: Option<String>,
    /// Without it: both.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<BillType>,
}

impl Job for FetchBill {
    const KIND: &'static str = "fetch_bill";
    const QUEUE: &'static str = "payments";
    const ATTEMPTS_MAX: u32 = LOOK_ATTEMPTS_MAX;
    const BACKOFF: Backoff = LOOK_BACKOFF;
    /// As many downloads as one attempt makes, each with a time-out of its own.
    const TIMEOUT: Duration = Duration::from_secs(45 * 60);
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        let kind = self.kind.map_or("*", BillType::as_str);
        Some(format!("{}:{kind}", self.day.as_deref().unwrap_or("*")))
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let day = self.day.as_deref().map(must_be_day).transpose()?;
        match (day, self.kind) {
            (Some(day), Some(kind)) => {
                let key = BillKey { mchid: shop.wechat_pay.mchid().to_owned(), day, kind };
                fetch(shop, job, &key).await.map(Outcome::result)
            }
            (day, kind) => send_for(shop, job, day, kind).await,
        }
    }
}

fn must_be_day(text: &str) -> Result<NaiveDate, JobError> {
    parse_day(text).ok_or_else(|| JobError::fail(anyhow::anyhow!("{text:?} is no day such as 2026-01-05")))
}

/// Sends a job for each bill that is wanted.
async fn send_for(
    shop: &Shop,
    job: &JobContext,
    day: Option<NaiveDate>,
    kind: Option<BillType>,
) -> Result<Outcome, JobError> {
    let (today, by_hand) = (today(shop), day.is_some());
    let back = 1..=u64::from(shop.settings.bill_days_back);
    let days = match day {
        Some(day) => vec![day],
        None => back.filter_map(|days| today.checked_sub_days(Days::new(days))).collect(),
    };
    let mut wanted = Vec::new();
    let mut conn = shop.ledger.reads().acquire().await?;
    for day in &days {
        for kind in BillType::ALL.iter().copied().filter(|one| kind.is_none_or(|kind| kind == *one)) {
            let key = BillKey { mchid: shop.wechat_pay.mchid().to_owned(), day: *day, kind };
            if by_hand || is_wanted(standing(&mut conn, &key).await?.as_ref(), today) {
                wanted.push(key);
            }
        }
    }
    drop(conn);
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    for key in &wanted {
        let fetch = FetchBill { day: Some(key.day_text()), kind: Some(key.kind) };
        tx.enqueue(&NewJob::of(&fetch, &shop.clock).tag(format!("bill:{}", key.day_text()))).await?;
    }
    tx.commit().await?;
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let kept = Days::new(u64::from(shop.settings.bill_files_kept_days));
    let expired = match today.checked_sub_days(kept) {
        Some(oldest) if !by_hand => expire_files(&shop.ledger, oldest, EXPIRED_AT_ONCE).await?,
        _ => 0,
    };
    Ok(Outcome::result(json!({ "wanted": wanted, "expired": expired })))
}

/// A bill is looked after again: until it adds up, or until it is believable that there is none; and once on each
/// later day, since WeChat may have changed it.
fn is_wanted(standing: Option<&Standing>, today: NaiveDate) -> bool {
    let Some(standing) = standing else { return true };
    let asked_today = in_beijing(standing.asked_at).date_naive() == today;
    match standing.state {
        BillState::Ready => !standing.adds_up || !asked_today,
        BillState::NoStatement => !standing.reason.is_empty() || !asked_today,
        _ => true,
    }
}

/// Asks for one bill and takes it in.
async fn fetch(shop: &Shop, job: &JobContext, key: &BillKey) -> Result<Value, JobError> {
    wait_until_made(shop, key)?;
    let mut last = None;
    for _ in 0..shop.settings.bill_links_max.max(1) {
        let packing = if shop.settings.bill_gzip { Packing::Gzip } else { Packing::Plain };
        let answer = shop.wechat_pay.request_bill(key.day, key.kind.kind(), packing).await;
        let link = match answer.map_err(verdict::of_outside)? {
            BillAnswer::Ready(link) => link,
            BillAnswer::NoStatement => return no_statement(shop, job, key).await,
            BillAnswer::Creating => return still_creating(shop, job, key).await,
        };
        if let Some(id) = ready_file(&shop.ledger, key, &link.sha1).await? {
            return known(shop, job, key, &id).await;
        }
        match take_in(shop, key, &link).await? {
            Ok(sealed) => return judge(shop, job, key, &link.sha1, sealed).await,
            Err(error @ DownloadError::TooLong { .. }) => {
                return refuse(shop, job, key, &Refusal::too_long(&error)).await;
            }
            Err(error @ DownloadError::WrongHash { .. }) => {
                job.log(format!("{key}: {error}"));
                if is_wrong_again(shop, job, key, &error).await? {
                    return refuse(shop, job, key, &Refusal::wrong_hash(&error)).await;
                }
                last = Some(error);
            }
            Err(error) => {
                job.log(format!("{key}: {error}"));
                last = Some(error);
            }
        }
    }
    match last {
        Some(DownloadError::Outside(error)) => Err(verdict::of_outside(error)),
        other => Err(JobError::retry(anyhow::anyhow!("the bill did not come: {other:?}"))),
    }
}

/// A day's bill is asked for from ten o'clock of the next day on.
fn wait_until_made(shop: &Shop, key: &BillKey) -> Result<(), JobError> {
    let (now, today) = (shop.clock.now(), today(shop));
    if key.day >= today {
        return Err(JobError::fail(anyhow::anyhow!("the day {} is not over", key.day_text())));
    }
    let made_on = key.day.checked_add_days(Days::new(1)).unwrap_or(today);
    let made_at = beijing_hour(made_on, shop.settings.bill_from_hour);
    if now < made_at {
        return Err(JobError::snooze(made_at.since(now), "WeChat makes the bill in the morning"));
    }
    Ok(())
}

async fn still_creating(shop: &Shop, job: &JobContext, key: &BillKey) -> Result<Value, JobError> {
    let again = Duration::from_secs(shop.settings.bill_creating_retry_s);
    let evening = beijing_hour(today(shop), shop.settings.bill_until_hour);
    if shop.clock.now() + again < evening {
        return Err(JobError::snooze(again, "WeChat is making the bill"));
    }
    not_made(shop, job, key).await
}

/// Downloads the file into the ledger. The inner error says why it does not count.
async fn take_in(
    shop: &Shop,
    key: &BillKey,
    link: &BillLink,
) -> Result<Result<Sealed, DownloadError>, JobError> {
    let mut download = match shop.wechat_pay.download_bill(link, shop.settings.bill_bytes_max).await {
        Ok(download) => download,
        Err(error) => return Ok(Err(error)),
    };
    let mut writer = BillWriter::begin(&shop.ledger, key).await?;
    loop {
        match download.next().await {
            Ok(Some(bytes)) => writer.write(&bytes).await?,
            Ok(None) => return Ok(Ok(writer.seal().await?)),
            Err(error) => {
                writer.abandon().await?;
                return Ok(Err(error));
            }
        }
    }
}

/// These are WeChat's bytes: are they the bill of this merchant?
async fn judge(
    shop: &Shop,
    job: &JobContext,
    key: &BillKey,
    sha1: &str,
    sealed: Sealed,
) -> Result<Value, JobError> {
    let refusal = match &sealed.totals {
        Err(error) => Refusal::not_a_bill(sha1, sealed.bytes, error),
        Ok(totals) if totals.foreign.rows > 0 => Refusal::foreign(sha1, sealed.bytes, key, totals),
        Ok(totals) => return make_ready(shop, job, key, sha1, &sealed, totals).await,
    };
    abandon(&shop.ledger, &sealed.id).await?;
    refuse(shop, job, key, &refusal).await
}

fn today(shop: &Shop) -> NaiveDate {
    in_beijing(shop.clock.now()).date_naive()
}

#[cfg(test)]
mod tests {
    use windlass_engine::Timestamp;

    use super::*;

    fn standing(state: BillState, adds_up: bool, asked_at: Timestamp) -> Standing {
        Standing { id: "b".to_owned(), state, rows: 1, adds_up, reason: String::new(), asked_at }
    }

    #[test]
    fn a_bill_is_wanted_until_it_adds_up_and_once_more_on_each_later_day() {
        let today = NaiveDate::from_ymd_opt(2026, 1, 6).unwrap();
        let (now, yesterday) = (beijing_hour(today, 10), beijing_hour(today.pred_opt().unwrap(), 23));
        assert!(is_wanted(None, today));
        for (state, adds_up, asked_at, wanted) in [
            (BillState::Ready, true, now, false),
            (BillState::Ready, false, now, true),
            (BillState::Ready, true, yesterday, true),
            (BillState::NoStatement, false, now, false),
            (BillState::NoStatement, false, yesterday, true),
            (BillState::Refused, false, now, true),
        ] {
            let standing = standing(state, adds_up, asked_at);
            assert_eq!(is_wanted(Some(&standing), today), wanted, "{standing:?}");
        }
        let hard_to_believe =
            Standing { reason: "we have trade".to_owned(), ..standing(BillState::NoStatement, false, now) };
        assert!(is_wanted(Some(&hard_to_believe), today));
    }

    #[test]
    fn a_job_for_all_bills_and_one_for_a_single_bill_do_not_stand_in_each_others_way() {
        let all = FetchBill { day: None, kind: None };
        let one = FetchBill { day: Some("2026-01-05".to_owned()), kind: Some(BillType::Fund) };
        assert_eq!(all.unique_key().as_deref(), Some("*:*"));
        assert_eq!(one.unique_key().as_deref(), Some("2026-01-05:fund"));
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json, serde_json::json!({ "day": "2026-01-05", "type": "fund" }));
    }
}

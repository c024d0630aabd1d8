//! Each way in which the question for a bill can end, as one transaction: the bill, findings, what comes next.

use chrono::Days;
use serde_json::{Value, json};
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob};

use super::{FetchBill, today};
use crate::findings::{FindingType, NewFinding, finding_id};
use crate::ledger::{LedgerError, Tx};
use crate::payments::bill::{
    BillKey, BillState, BillTotals, BillType, NotABill, Sealed, asked_again, count_wrong_hash,
    forget_wrong_hashes, record_no_statement, record_refused, standing,
};
use crate::payments::wechat_pay::DownloadError;
use crate::reconciliation::ReconcilePayments;
use crate::shop::Shop;
use crate::shop_time::beijing_hour;

/// What the platform says of a finding that it saw go away.
const CAME: &str = "what WeChat says of the bill now is whole and believable";

/// Why a file cannot be the day's bill.
pub(super) struct Refusal {
    finding: FindingType,
    /// Empty where the bytes are not WeChat's own.
    sha1: String,
    bytes: u64,
    outcome: &'static str,
    reason: String,
    advice: &'static str,
}

impl Refusal {
    pub fn wrong_hash(error: &DownloadError) -> Self {
        Self {
            finding: FindingType::HashMismatch,
            sha1: String::new(),
            bytes: 0,
            outcome: "wrong_hash",
            reason: error.to_string(),
            advice: "It is asked for again every half hour; if it stays so, ask WeChat Pay for the bill.",
        }
    }

    pub fn too_long(error: &DownloadError) -> Self {
        Self {
            finding: FindingType::BadRow,
            sha1: String::new(),
            bytes: 0,
            outcome: "too_long",
            reason: error.to_string(),
            advice: "Raise bill_bytes_max if the shop has become so large.",
        }
    }

    pub fn not_a_bill(sha1: &str, bytes: u64, error: &NotABill) -> Self {
        Self {
            finding: FindingType::BadRow,
            sha1: sha1.to_owned(),
            bytes,
            outcome: "not_a_bill",
            reason: error.to_string(),
            advice: "WeChat vouches for these bytes: the form of the bill may have changed.",
        }
    }

    pub fn foreign(sha1: &str, bytes: u64, key: &BillKey, totals: &BillTotals) -> Self {
        let odd = &totals.foreign;
        Self {
            finding: FindingType::ForeignMerchant,
            sha1: sha1.to_owned(),
            bytes,
            outcome: "foreign_merchant",
            reason: format!(
                "{} of {} rows are not of the merchant {}: the first, in line {}, is of {}",
                odd.rows, totals.rows, key.mchid, odd.first_line, odd.first
            ),
            advice: "Nothing of it is compared. Check the merchant number, and ask WeChat Pay.",
        }
    }
}

/// The file is the newest version of the bill.
pub(super) async fn make_ready(
    shop: &Shop,
    job: &JobContext,
    key: &BillKey,
    sha1: &str,
    sealed: &Sealed,
    totals: &BillTotals,
) -> Result<Value, JobError> {
    let mut tx = begin(shop, job).await?;
    let version = sealed.make_ready(&mut tx, key, sha1, totals).await?;
    bill_came(&mut tx, key).await?;
    let differences: Vec<String> = totals.compare().iter().map(ToString::to_string).collect();
    summary(&mut tx, key, sha1, &differences).await?;
    compare_day(&mut tx, key, false).await?;
    tx.commit().await?;
    count(key, if totals.adds_up() { "ready" } else { "does_not_add_up" });
    metrics::counter!("windlass_bill_bad_rows_total", "type" => key.kind.as_str()).increment(totals.bad_rows);
    for difference in &differences {
        job.log(format!("{key}: {difference}"));
    }
    Ok(json!({ "state": "ready", "version": version, "rows": totals.rows, "bad_rows": totals.bad_rows,
        "bytes": sealed.bytes, "sha1": sha1, "differences": differences }))
}

/// WeChat has the file that we have.
pub(super) async fn known(shop: &Shop, job: &JobContext, key: &BillKey, id: &str) -> Result<Value, JobError> {
    let mut tx = begin(shop, job).await?;
    asked_again(&mut tx, id).await?;
    bill_came(&mut tx, key).await?;
    compare_day(&mut tx, key, false).await?;
    tx.commit().await?;
    count(key, "unchanged");
    Ok(json!({ "state": "ready", "unchanged": true }))
}

/// WeChat says that nothing happened on the day. If something did, here or by its own trade bill, somebody must look.
pub(super) async fn no_statement(shop: &Shop, job: &JobContext, key: &BillKey) -> Result<Value, JobError> {
    let mut tx = begin(shop, job).await?;
    let day = key.day_text();
    let reason = match key.kind {
        BillType::Trade => match ours_on(&mut tx, key).await? {
            0 => String::new(),
            ours => format!("the shop has {ours} payments and refunds of that day"),
        },
        BillType::Fund => match standing(tx.conn(), &of(key, BillType::Trade)).await? {
            Some(trade) if trade.is_ready() && trade.rows > 0 => {
                format!("the trade bill of that day has {} rows", trade.rows)
            }
            _ => String::new(),
        },
    };
    record_no_statement(&mut tx, key, &reason).await?;
    if reason.is_empty() {
        bill_came(&mut tx, key).await?;
    } else {
        let text = format!(
            "WeChat says that it has no {} bill of {day}, and {reason}. It is asked for again on this and the next \
             days; if it stays so, ask WeChat Pay.",
            key.kind.as_str()
        );
        raise_no_statement(&mut tx, key, &text, json!({ "reason": reason })).await?;
    }
    compare_day(&mut tx, key, false).await?;
    tx.commit().await?;
    count(key, "no_statement");
    Ok(json!({ "state": "no_statement", "reason": reason }))
}

/// The evening has come and the bill has not: the next day's schedule goes on, while there is one.
pub(super) async fn not_made(shop: &Shop, job: &JobContext, key: &BillKey) -> Result<Value, JobError> {
    let mut tx = begin(shop, job).await?;
    let last_day = key.day.checked_add_days(Days::new(u64::from(shop.settings.bill_days_back)));
    let is_last = last_day.is_none_or(|last| today(shop) >= last);
    if is_last && ours_on(&mut tx, key).await? > 0 {
        let text = format!(
            "WeChat has not made the bill of {} yet and is not asked for it any more. Ask WeChat Pay, then enqueue \
             fetch_bill with that day.",
            key.day_text()
        );
        raise_no_statement(&mut tx, key, &text, json!({ "said": "STATEMENT_CREATING" })).await?;
    }
    if key.kind == BillType::Fund {
        // The trade bill alone tells more than nothing; with the fund flow the day is compared once more.
        compare_day(&mut tx, key, true).await?;
    }
    tx.commit().await?;
    count(key, "creating");
    Ok(json!({ "state": "creating", "left_to": if is_last { "a person" } else { "tomorrow" } }))
}

/// Counts a file with a wrong hash, also over attempts that failed in other ways; whether it were so many in a row
/// that somebody must be told.
pub(super) async fn is_wrong_again(
    shop: &Shop,
    job: &JobContext,
    key: &BillKey,
    error: &DownloadError,
) -> Result<bool, JobError> {
    let mut tx = begin(shop, job).await?;
    let wrong = count_wrong_hash(&mut tx, key, &error.to_string()).await?;
    tx.commit().await?;
    Ok(wrong >= i64::from(shop.settings.bill_links_max.max(1)))
}

/// Records why what came does not count.
pub(super) async fn refuse(
    shop: &Shop,
    job: &JobContext,
    key: &BillKey,
    refusal: &Refusal,
) -> Result<Value, JobError> {
    let mut tx = begin(shop, job).await?;
    record_refused(&mut tx, key, &refusal.sha1, refusal.bytes, &refusal.reason).await?;
    forget_wrong_hashes(&mut tx, key).await?;
    let text = format!(
        "The {} bill of {}: {}. {}",
        key.kind.as_str(),
        key.day_text(),
        refusal.reason,
        refusal.advice
    );
    let finding = NewFinding {
        kind: refusal.finding,
        key: &key.to_string(),
        order_no: None,
        amount_fen: None,
        text: &text,
        evidence: json!({ "sha1": refusal.sha1, "bytes": refusal.bytes, "reason": refusal.reason }),
    };
    tx.raise(&finding).await?;
    compare_day(&mut tx, key, false).await?;
    tx.commit().await?;
    count(key, refusal.outcome);
    job.log(text);
    Ok(json!({ "state": "refused", "reason": refusal.reason }))
}

async fn begin(shop: &Shop, job: &JobContext) -> Result<Tx, LedgerError> {
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    Ok(tx)
}

fn count(key: &BillKey, outcome: &'static str) {
    metrics::counter!("windlass_bills_total", "type" => key.kind.as_str(), "outcome" => outcome).increment(1);
}

async fn raise_no_statement(
    tx: &mut Tx,
    key: &BillKey,
    text: &str,
    evidence: Value,
) -> Result<bool, LedgerError> {
    let kind = FindingType::NoStatement;
    let key = key.to_string();
    tx.raise(&NewFinding { kind, key: &key, order_no: None, amount_fen: None, text, evidence }).await
}

/// A file that does not add up is a case at once: before its day is compared WeChat may have put another in its place.
async fn summary(tx: &mut Tx, key: &BillKey, sha1: &str, differences: &[String]) -> Result<(), LedgerError> {
    let kind = FindingType::SummaryMismatch;
    let id = key.to_string();
    if differences.is_empty() {
        tx.supersede_finding(&finding_id(kind, &id), FetchBill::KIND, CAME).await?;
        return Ok(());
    }
    let text = format!(
        "The {} bill of {} does not add up: {}. Nothing of it is compared; it is asked for again every half hour.",
        key.kind.as_str(),
        key.day_text(),
        differences.join("; ")
    );
    let evidence = json!({ "sha1": sha1, "differences": differences });
    tx.raise(&NewFinding { kind, key: &id, order_no: None, amount_fen: None, text: &text, evidence }).await?;
    Ok(())
}

/// What was wrong with the bill is over; should that come again, it is a case again.
async fn bill_came(tx: &mut Tx, key: &BillKey) -> Result<(), LedgerError> {
    forget_wrong_hashes(tx, key).await?;
    let key = key.to_string();
    for kind in [
        FindingType::NoStatement,
        FindingType::HashMismatch,
        FindingType::ForeignMerchant,
        FindingType::BadRow,
    ] {
        tx.supersede_finding(&finding_id(kind, &key), FetchBill::KIND, CAME).await?;
    }
    Ok(())
}

/// Sends for the comparison of a day whose trade bill is there and whose fund flow bill is, too, or will not come;
/// also of one without trade, since what is missing from other days may be due. Once for each pair of files.
async fn compare_day(tx: &mut Tx, key: &BillKey, without_fund: bool) -> Result<(), LedgerError> {
    let there = [BillState::Ready, BillState::NoStatement];
    let trade = standing(tx.conn(), &of(key, BillType::Trade)).await?;
    let Some(trade) = trade.filter(|trade| there.contains(&trade.state)) else { return Ok(()) };
    let fund = standing(tx.conn(), &of(key, BillType::Fund)).await?;
    let fund_id = match fund {
        Some(fund) if fund.is_ready() => fund.id,
        None if trade.is_ready() && !without_fund => return Ok(()),
        _ => "none".to_owned(),
    };
    let step = ReconcilePayments { day: key.day_text(), again: false };
    let id = JobId::derived(&[ReconcilePayments::KIND, &step.day, &trade.id, &fund_id]);
    let clock = tx.ledger().clock().clone();
    // Without the kind's key: files that come while others are compared are compared too.
    tx.enqueue(&NewJob { unique: None, ..NewJob::of(&step, &clock).id(id) }).await?;
    Ok(())
}

fn of(key: &BillKey, kind: BillType) -> BillKey {
    BillKey { kind, ..key.clone() }
}

/// Our own payments and refunds of the day, as a bill would count them.
async fn ours_on(tx: &mut Tx, key: &BillKey) -> Result<i64, LedgerError> {
    let from = beijing_hour(key.day, 0);
    let to = from + std::time::Duration::from_secs(24 * 60 * 60);
    let (ours,): (i64,) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM payments WHERE paid_at >= $1 AND paid_at < $2 \
                 AND state IN ('succeeded', 'late', 'disputed')) \
              + (SELECT COUNT(*) FROM refunds WHERE requested_at >= $1 AND requested_at < $2 \
                 AND state IN ('accepted', 'succeeded', 'closed', 'abnormal')) AS ours",
    )
    .bind(from.micros())
    .bind(to.micros())
    .fetch_one(tx.conn())
    .await?;
    Ok(ours)
}

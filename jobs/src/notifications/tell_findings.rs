//! Tells of findings: other systems of each at once, whoever runs the shop by mail, of all that came up since the last
//! one and no more often than [`crate::Settings::findings_mail_every_s`].
//!
//! Findings are raised by every part of the business, which need not know of mail; this looks what is new.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windlass_engine::{Job, JobContext, JobError, Outcome, Timestamp};

use super::facts::{at_beijing, yuan};
use super::message::{FindingLine, FindingsRaised};
use super::notify::notify_shop;
use super::webhooks::{EventType, tell};
use crate::findings::FindingType;
use crate::ledger::{LedgerError, Tx};
use crate::shop::Shop;
use crate::stored::stored_row;

/// Findings that one run tells of by webhook, each in a transaction that other writers wait for.
const TOLD_AT_ONCE_MAX: i64 = 200;

/// Looks for findings that nobody was told of.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TellFindings {}

/// What is worth telling of at once: money that may be gone, goods that may be lost, or a part of the shop that stands
/// still. The others are in the summary of the day.
pub const fn is_urgent(kind: FindingType) -> bool {
    use FindingType as F;
    match kind {
        F::Long
        | F::Short
        | F::Amount
        | F::Status
        | F::DuplicatePay
        | F::MissingRefund
        | F::ExtraRefund
        | F::SummaryMismatch
        | F::HashMismatch
        | F::FundMismatch
        | F::ForeignMerchant
        | F::RefundAbnormal
        | F::RefundClosed
        | F::RefundRefused
        | F::PaymentDisputed
        | F::UnsolicitedReturn
        | F::UploadRefused
        | F::ShipmentMissing
        | F::BalanceLow
        | F::BackupMissing
        | F::WebhookDisabled => true,
        F::LatePay
        | F::Fee
        | F::BadRow
        | F::DuplicateRow
        | F::NoStatement
        | F::SupplierRejected
        | F::SupplierOverdue
        | F::ShipmentUnknown
        | F::PaymentUnlisted
        | F::PriceMismatch => false,
    }
}

impl Job for TellFindings {
    const KIND: &'static str = "tell_findings";
    const QUEUE: &'static str = "mail";
    type Context = Shop;

    fn unique_key(&self) -> Option<String> {
        Some("all".to_owned())
    }

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let noticed = notice_new(shop, job).await?;
        let mailed = mail_waiting(shop, job).await?;
        Ok(Outcome::result(json!({ "noticed": noticed, "mailed": mailed })))
    }
}

struct NewRow {
    id: String,
    kind: FindingType,
    order_no: Option<String>,
    amount_fen: Option<i64>,
    text: String,
    raised_at: i64,
}

stored_row!(NewRow { id, order_no, amount_fen, text, raised_at } parsed { kind });

impl NewRow {
    fn data(&self) -> Value {
        json!({
            "id": self.id,
            "type": self.kind.as_str(),
            "urgent": is_urgent(self.kind),
            "order_no": self.order_no,
            "amount_fen": self.amount_fen,
            "text": self.text,
            "raised_at": Timestamp::from_micros(self.raised_at).to_rfc3339(),
        })
    }

    fn line(&self) -> FindingLine {
        FindingLine {
            id: self.id.clone(),
            name: self.kind.as_str().to_owned(),
            order_no: self.order_no.clone(),
            amount: self.amount_fen.map(yuan),
            text: self.text.clone(),
            raised: at_beijing(Timestamp::from_micros(self.raised_at)),
        }
    }
}

/// Notes each finding that was not noticed before, and tells other systems of it.
async fn notice_new(shop: &Shop, job: &JobContext) -> Result<u64, LedgerError> {
    let now = shop.clock.now().micros();
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    let rows: Vec<NewRow> = sqlx::query_as(
        "SELECT f.id AS id, f.type AS kind, f.order_no AS order_no, f.amount_fen AS amount_fen, f.text AS text, \
         f.raised_at AS raised_at FROM findings f \
         WHERE f.settled_at IS NULL AND NOT EXISTS (SELECT 1 FROM finding_notices n WHERE n.finding = f.id) \
         ORDER BY f.raised_at, f.id LIMIT $1",
    )
    .bind(TOLD_AT_ONCE_MAX)
    .fetch_all(tx.conn())
    .await?;
    for row in &rows {
        // What is not urgent needs no mail: the summary of the day tells of it.
        let mailed_at = (!is_urgent(row.kind)).then_some(now);
        let noticed = sqlx::query(
            "INSERT INTO finding_notices (finding, noticed_at, mailed_at) VALUES ($1, $2, $3) \
             ON CONFLICT (finding) DO NOTHING",
        )
        .bind(row.id.clone())
        .bind(now)
        .bind(mailed_at)
        .execute(tx.conn())
        .await?;
        if noticed.rows_affected() == 1 {
            let order_no = row.order_no.clone().unwrap_or_default();
            tell(&mut tx, EventType::FindingRaised, &row.id, &order_no, row.data()).await?;
        }
    }
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// One mail of everything that waits for one, unless there was one lately.
async fn mail_waiting(shop: &Shop, job: &JobContext) -> Result<u64, LedgerError> {
    let settings = &shop.settings;
    if settings.summary_to.is_empty() || settings.mail_from.is_empty() {
        return Ok(0);
    }
    let now = shop.clock.now();
    let every = Duration::from_secs(settings.findings_mail_every_s);
    let mut tx = shop.ledger.begin().await?;
    tx.on_behalf_of(job.id());
    let rows: Vec<NewRow> = sqlx::query_as(
        "SELECT f.id AS id, f.type AS kind, f.order_no AS order_no, f.amount_fen AS amount_fen, f.text AS text, \
         f.raised_at AS raised_at FROM finding_notices n JOIN findings f ON f.id = n.finding \
         WHERE n.mailed_at IS NULL ORDER BY f.raised_at, f.id LIMIT $1",
    )
    .bind(i64::try_from(settings.findings_mail_rows_max).unwrap_or(i64::MAX))
    .fetch_all(tx.conn())
    .await?;
    if rows.is_empty() || mailed_since(&mut tx, now, every).await? {
        return Ok(0);
    }
    let waiting = one(&mut tx, "SELECT COUNT(*) AS n FROM finding_notices WHERE mailed_at IS NULL").await?;
    let open = one(&mut tx, "SELECT COUNT(*) AS n FROM findings WHERE settled_at IS NULL").await?;
    let message = FindingsRaised {
        findings: rows.iter().map(NewRow::line).collect(),
        more: waiting - rows.len() as i64,
        open,
    };
    // The first of them names the mail: it is in no other.
    let event = &rows[0].id;
    notify_shop(&mut tx, event, &settings.summary_to, &message).await?;
    sqlx::query("UPDATE finding_notices SET mailed_at = $1 WHERE mailed_at IS NULL")
        .bind(now.micros())
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(rows.len() as u64)
}

/// Whether a mail of findings was decided within this time.
async fn mailed_since(tx: &mut Tx, now: Timestamp, every: Duration) -> Result<bool, LedgerError> {
    let (last,): (Option<i64>,) = sqlx::query_as(
        "SELECT MAX(queued_at) AS last FROM notifications WHERE order_no = '' AND template = $1",
    )
    .bind(super::Template::FindingsRaised.as_str())
    .fetch_one(tx.conn())
    .await?;
    Ok(last.is_some_and(|last| now.since(Timestamp::from_micros(last)) < every))
}

async fn one(tx: &mut Tx, sql: &'static str) -> Result<i64, LedgerError> {
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(tx.conn()).await?;
    Ok(count)
}

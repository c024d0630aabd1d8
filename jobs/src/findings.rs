//! Findings: what the platform cannot or must not put right by itself, so that a person looks. Each is a case with
//! an owner, a state, a reason and, where money was booked for it, an adjustment.
//!
//! Whoever finds something raises it ([`Tx::raise`]) in the transaction of its own work. What is raised twice is one
//! case. Nothing here decides what is wrong, tells anybody, or moves money: an adjustment is a note of what was
//! booked elsewhere.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::ledger::{LedgerError, Tx};

mod list;
mod settle;

pub(crate) use list::read_finding;
pub use list::{
    FINDING_ROWS_MAX, Finding, FindingFilter, FindingPage, finding, findings, findings_of_order,
    findings_open_by_type,
};
pub use settle::{Acted, OWNER_BYTES_MAX, Resolution, assign_finding, resolve_finding};

/// Bytes of a key; the numbers of the outside are much shorter.
pub const FINDING_KEY_BYTES_MAX: usize = 200;
/// Bytes of a finding's text and of its reason; the rest is cut off.
pub const FINDING_TEXT_BYTES_MAX: usize = 2_000;
/// Bytes of the evidence as JSON; what is longer is kept as a text that says so and is cut.
pub const FINDING_EVIDENCE_BYTES_MAX: usize = 16 * 1024;

crate::stored::stored_states! {
    /// What is wrong. The first block is the reconciliation's (facts: commerce-states.md 6).
    FindingType {
        /// The channel has a payment that we lack.
        Long = "long",
        /// We have a payment that the channel lacks, after the carry.
        Short = "short",
        /// Both have it, with different amounts.
        Amount = "amount",
        /// Both have it, and our state contradicts the channel's.
        Status = "status",
        /// Two transactions paid one order.
        DuplicatePay = "duplicate_pay",
        /// Money for an order that was closed or cancelled here.
        LatePay = "late_pay",
        /// We have a refund that the channel lacks, after the carry.
        MissingRefund = "missing_refund",
        /// The channel has a refund that we did not ask for.
        ExtraRefund = "extra_refund",
        /// The fee is not rate times amount.
        Fee = "fee",
        /// The bill's printed totals are not those of its rows.
        SummaryMismatch = "summary_mismatch",
        /// The bill's bytes are not those that its hash vouches for.
        HashMismatch = "hash_mismatch",
        /// The flow of funds does not follow from the trade, or its balance from the line before.
        FundMismatch = "fund_mismatch",
        /// A line that cannot be read.
        BadRow = "bad_row",
        /// One key twice in one file.
        DuplicateRow = "duplicate_row",
        /// There is no bill of a day on which we have trade.
        NoStatement = "no_statement",
        /// A row of another merchant.
        ForeignMerchant = "foreign_merchant",

        RefundAbnormal = "refund_abnormal",
        RefundClosed = "refund_closed",
        RefundRefused = "refund_refused",
        PaymentDisputed = "payment_disputed",
        SupplierRejected = "supplier_rejected",
        SupplierOverdue = "supplier_overdue",
        UnsolicitedReturn = "unsolicited_return",
        UploadRefused = "upload_refused",
        /// WeChat took a shipment, and does not have it.
        ShipmentMissing = "shipment_missing",
        /// WeChat has a shipment that we did not upload.
        ShipmentUnknown = "shipment_unknown",
        /// A payment that WeChat's shipping does not list.
        PaymentUnlisted = "payment_unlisted",
        PriceMismatch = "price_mismatch",
        BalanceLow = "balance_low",
        BackupMissing = "backup_missing",
        WebhookDisabled = "webhook_disabled",
    }
}

crate::stored::stored_states! {
    /// `open -> assigned -> resolved`, and to `superseded` from either of the first two.
    FindingState {
        Open = "open",
        Assigned = "assigned",
        Resolved = "resolved",
        /// A newer look at the same thing no longer finds it.
        Superseded = "superseded",
    }
}

impl FindingState {
    /// Nobody has to look any more.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Resolved | Self::Superseded)
    }
}

/// A finding to be raised.
#[derive(Clone, Debug)]
pub struct NewFinding<'a> {
    pub kind: FindingType,
    /// One case per type and key, for ever: at most [`FINDING_KEY_BYTES_MAX`].
    pub key: &'a str,
    pub order_no: Option<&'a str>,
    /// What is at stake.
    pub amount_fen: Option<i64>,
    /// What is wrong and what to do, one or two sentences.
    pub text: &'a str,
    /// What it was found by: answers, rows, numbers. No secrets.
    pub evidence: Value,
}

/// The id that a case of this type and key always has.
pub fn finding_id(kind: FindingType, key: &str) -> String {
    let content = [kind.as_str().as_bytes(), b"\0", key.as_bytes()].concat();
    digest(&SHA256, &content).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tx {
    /// Makes a case of it; true: it was none before. A superseded one that is found again is open again; one that a
    /// person resolved stays so.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the key is over its bound.
    pub async fn raise(&mut self, finding: &NewFinding<'_>) -> Result<bool, LedgerError> {
        let NewFinding { kind, key, order_no, amount_fen, text, evidence } = finding;
        if key.is_empty() || key.len() > FINDING_KEY_BYTES_MAX {
            return Err(LedgerError::Invalid(format!(
                "the key of a finding has 1 to {FINDING_KEY_BYTES_MAX} bytes"
            )));
        }
        let (key, text) = (storable(key), storable(cut(text)));
        let id = finding_id(*kind, &key);
        let now = self.ledger().clock().now().micros();
        let raised = sqlx::query(
            "INSERT INTO findings (id, type, key, state, order_no, amount_fen, text, evidence, raised_at, changed_at) \
             VALUES ($1, $2, $3, 'open', $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (type, key) DO UPDATE SET state = 'open', owner = NULL, reason = NULL, settled_by = NULL, \
             settled_at = NULL, amount_fen = excluded.amount_fen, text = excluded.text, \
             evidence = excluded.evidence, changed_at = excluded.changed_at \
             WHERE findings.state = 'superseded'",
        )
        .bind(id.clone())
        .bind(kind.as_str())
        .bind(key)
        .bind(order_no.map(storable))
        .bind(*amount_fen)
        .bind(text.clone())
        .bind(bounded(evidence))
        .bind(now)
        .execute(self.conn())
        .await?;
        if raised.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(order_no) = order_no {
            let data = json!({ "finding": id, "type": kind });
            self.event(&storable(order_no), "finding", &text, &data).await?;
        }
        self.raised(*kind);
        Ok(true)
    }

    /// Settles a case by its key, in the transaction that put the matter right; false: it is none, or over already.
    pub async fn resolve_finding(
        &mut self,
        kind: FindingType,
        key: &str,
        who: &str,
        reason: &str,
    ) -> Result<bool, LedgerError> {
        let resolution = Resolution { who, reason, adjustment_fen: None };
        self.settle_finding(&finding_id(kind, &storable(key)), FindingState::Resolved, &resolution).await
    }

    /// Settles a case that a newer look no longer finds; false: it is none, or over already.
    pub async fn supersede_finding(
        &mut self,
        id: &str,
        who: &str,
        reason: &str,
    ) -> Result<bool, LedgerError> {
        let resolution = Resolution { who, reason, adjustment_fen: None };
        self.settle_finding(id, FindingState::Superseded, &resolution).await
    }

    /// Adds to what a case was found by; what stood under the same name is replaced.
    pub async fn add_evidence(&mut self, id: &str, name: &str, value: &Value) -> Result<(), LedgerError> {
        let known: Option<(String,)> = sqlx::query_as("SELECT evidence FROM findings WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(self.conn())
            .await?;
        let Some((known,)) = known else { return Ok(()) };
        let mut evidence: Value = serde_json::from_str(&known).unwrap_or_default();
        if let Value::Object(members) = &mut evidence {
            members.insert(name.to_owned(), value.clone());
        }
        let now = self.ledger().clock().now().micros();
        sqlx::query("UPDATE findings SET evidence = $1, changed_at = $2 WHERE id = $3")
            .bind(bounded(&evidence))
            .bind(now)
            .bind(id.to_owned())
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

/// What a finding quotes may be anything, and PostgreSQL takes no zero byte in a text.
fn storable(text: impl AsRef<str>) -> String {
    text.as_ref().replace('\0', "\u{fffd}")
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(FINDING_TEXT_BYTES_MAX)]
}

fn bounded(evidence: &Value) -> String {
    let told = evidence.to_string();
    if told.len() <= FINDING_EVIDENCE_BYTES_MAX {
        return told;
    }
    // Escaping makes it longer again: quotes and backslashes at most twofold.
    let start = &told[..told.floor_char_boundary(FINDING_EVIDENCE_BYTES_MAX / 2 - 64)];
    json!({ "cut_after_bytes": start.len(), "start": start }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_any_length_is_json_within_its_bound() {
        for long in ["\"".repeat(40_000), "订".repeat(40_000), "x".repeat(40_000)] {
            let told = bounded(&json!({ "line": long }));
            assert!(told.len() <= FINDING_EVIDENCE_BYTES_MAX, "{}", told.len());
            let value: Value = serde_json::from_str(&told).unwrap();
            assert!(value["start"].as_str().unwrap().starts_with("{\"line\":"));
        }
        assert_eq!(bounded(&json!({ "n": 1 })), r#"{"n":1}"#);
    }

    #[test]
    fn a_case_is_told_by_type_and_key_together() {
        let one = finding_id(FindingType::Long, "4200");
        assert_eq!(one, finding_id(FindingType::Long, "4200"));
        assert_ne!(one, finding_id(FindingType::Short, "4200"));
        assert_eq!(one.len(), 16);
    }
}

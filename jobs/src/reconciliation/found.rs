//! What one comparison finds, on its way into the ledger: gathered, raised in small transactions, tied to the
//! comparison, and sent to be healed where that is allowed.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_engine::{JobId, NewJob};

use super::book::Running;
use super::heal_finding::HealFinding;
use crate::findings::{FindingType, NewFinding, finding_id};
use crate::ledger::{Ledger, LedgerError, Tx};

/// Findings of one transaction.
const FINDINGS_AT_ONCE: usize = 100;

/// A difference.
#[derive(Clone, Debug)]
pub struct Difference {
    pub kind: FindingType,
    pub key: String,
    pub order_no: Option<String>,
    pub amount_fen: Option<i64>,
    pub text: String,
    pub evidence: Value,
    /// A fresh query may put it right.
    pub may_heal: bool,
}

/// Bounds of one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Cases that are raised; what is beyond is only counted.
    pub findings_max: usize,
    /// Cases that are sent to be healed.
    pub heals_max: usize,
}

/// Counts of what was found.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub by_type: BTreeMap<&'static str, u64>,
    pub raised: u64,
    /// Found, and beyond the bound.
    pub not_raised: u64,
    pub heals_sent: u64,
    /// Could be healed, and beyond the bound.
    pub heals_held: u64,
}

pub struct Found<'a> {
    ledger: &'a Ledger,
    run: &'a Running,
    bounds: Bounds,
    waiting: Vec<Difference>,
    counts: Counts,
}

impl<'a> Found<'a> {
    pub fn new(ledger: &'a Ledger, run: &'a Running, bounds: Bounds) -> Self {
        Self { ledger, run, bounds, waiting: Vec::new(), counts: Counts::default() }
    }

    pub fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    pub fn run(&self) -> &'a Running {
        self.run
    }

    /// Takes a difference; it is in the ledger after [`Found::flush`] at the latest.
    pub async fn add(&mut self, difference: Difference) -> Result<(), LedgerError> {
        if self.admits(&difference) {
            self.waiting.push(difference);
        }
        if self.waiting.len() >= FINDINGS_AT_ONCE { self.flush().await } else { Ok(()) }
    }

    /// Counts it; false: it is beyond the bound.
    fn admits(&mut self, difference: &Difference) -> bool {
        *self.counts.by_type.entry(difference.kind.as_str()).or_default() += 1;
        let admits = self.counts.raised < self.bounds.findings_max as u64;
        if admits {
            self.counts.raised += 1;
        } else {
            self.counts.not_raised += 1;
        }
        admits
    }

    /// Raises what waits.
    pub async fn flush(&mut self) -> Result<(), LedgerError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut tx = self.ledger.begin().await?;
        let mut heals = (self.counts.heals_sent, self.counts.heals_held);
        // In the order of their keys, so that two transactions wait for each other in line.
        self.waiting.sort_by(|a, b| (a.kind.as_str(), &a.key).cmp(&(b.kind.as_str(), &b.key)));
        for difference in &self.waiting {
            self.raise(&mut tx, difference, &mut heals).await?;
        }
        tx.commit().await?;
        (self.counts.heals_sent, self.counts.heals_held) = heals;
        self.waiting.clear();
        Ok(())
    }

    async fn raise(
        &self,
        tx: &mut Tx,
        difference: &Difference,
        heals: &mut (u64, u64),
    ) -> Result<(), LedgerError> {
        tx.raise(&new_finding(difference)).await?;
        let id = finding_id(difference.kind, &difference.key);
        tie(tx, self.run, &id, false).await?;
        if difference.may_heal && is_open(tx, &id).await? {
            if heals.0 < self.bounds.heals_max as u64 {
                // One for each comparison and case: the same try again sends no second one.
                let job_id =
                    JobId::derived(&[<HealFinding as windlass_engine::Job>::KIND, &id, &self.run.id]);
                let heal = HealFinding { finding_id: id };
                tx.enqueue(&NewJob::of(&heal, self.ledger.clock()).id(job_id)).await?;
                heals.0 += 1;
            } else {
                heals.1 += 1;
            }
        }
        Ok(())
    }

    /// Raises the end of a carry, in the transaction that ends it.
    pub async fn add_carried(&mut self, tx: &mut Tx, difference: &Difference) -> Result<(), LedgerError> {
        if self.admits(difference) {
            tx.raise(&new_finding(difference)).await?;
            tie(tx, self.run, &finding_id(difference.kind, &difference.key), true).await?;
        }
        Ok(())
    }

    pub fn into_counts(self) -> Counts {
        self.counts
    }
}

fn new_finding(difference: &Difference) -> NewFinding<'_> {
    NewFinding {
        kind: difference.kind,
        key: &difference.key,
        order_no: difference.order_no.as_deref(),
        amount_fen: difference.amount_fen,
        text: &difference.text,
        evidence: difference.evidence.clone(),
    }
}

/// Notes that this try of this comparison found the case.
async fn tie(tx: &mut Tx, run: &Running, finding_id: &str, carried: bool) -> Result<(), LedgerError> {
    sqlx::query(
        "INSERT INTO reconciliation_findings (reconciliation_id, finding_id, attempt, carried) \
         VALUES ($1, $2, $3, $4) \
         ON CONFLICT (reconciliation_id, finding_id) DO UPDATE SET attempt = excluded.attempt",
    )
    .bind(run.id.clone())
    .bind(finding_id.to_owned())
    .bind(run.attempt)
    .bind(i64::from(carried))
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn is_open(tx: &mut Tx, id: &str) -> Result<bool, LedgerError> {
    let open: Option<(String,)> =
        sqlx::query_as("SELECT id FROM findings WHERE id = $1 AND settled_at IS NULL")
            .bind(id.to_owned())
            .fetch_optional(tx.conn())
            .await?;
    Ok(open.is_some())
}

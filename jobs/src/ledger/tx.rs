//! One write transaction on the ledger, and what every part of the business writes with it: jobs, the order's
//! timeline, the audit log.

use serde_json::Value;
use sqlx::{Any, AnyConnection, Transaction};
use windlass_engine::trace::{self, Span, enqueueing};
use windlass_engine::{JobId, NewJob};

use super::Ledger;
use super::error::LedgerError;
use super::money_trail::{MoneyLine, Trail};
use crate::findings::FindingType;
use crate::outbox::Put;
use crate::outbox::put::put;

/// Bytes of one text of the timeline or the audit log; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 2_000;

/// A write transaction. Dropped without [`Tx::commit`] it never happened.
pub struct Tx {
    inner: Transaction<'static, Any>,
    ledger: Ledger,
    job: Option<JobId>,
    has_put: bool,
    /// Counted once it is so.
    raised: Vec<FindingType>,
    /// Written before it is so.
    money: Vec<MoneyLine>,
    span: Span,
}

impl Tx {
    pub(super) fn new(inner: Transaction<'static, Any>, ledger: Ledger, span: Span) -> Self {
        span.note(|record| {
            record.set("db.system.name", ledger.engine()).set("windlass.ledger.outcome", "undone");
        });
        Self { inner, ledger, job: None, has_put: false, raised: Vec::new(), money: Vec::new(), span }
    }

    /// The connection, for the statements of the business.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Names the job whose work this is: events written from here on carry its id.
    pub fn on_behalf_of(&mut self, job: &JobId) {
        self.job = Some(job.clone());
    }

    /// Enqueues the job when, and only when, this transaction commits. Idempotent by id and, while the row lives,
    /// by kind and unique key.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the job is over a bound.
    pub async fn enqueue(&mut self, job: &NewJob) -> Result<Put, LedgerError> {
        let mut traced = None;
        if trace::current().is_some() {
            drop(enqueueing([traced.insert(job.clone())]));
        }
        let job = traced.as_ref().unwrap_or(job);
        let clock = self.ledger.clock();
        let puts = put(&mut self.inner, clock, self.ledger.positions(), std::slice::from_ref(job)).await?;
        self.has_put = true;
        puts.into_iter()
            .next()
            .ok_or_else(|| LedgerError::Unreadable("a put of one job had no answer".to_owned()))
    }

    /// Writes an event into the order's timeline; `data` may be [`Value::Null`].
    pub async fn event(
        &mut self,
        order_no: &str,
        kind: &str,
        text: &str,
        data: &Value,
    ) -> Result<(), LedgerError> {
        let clock = self.ledger.clock();
        sqlx::query(
            "INSERT INTO order_events (id, order_no, at, kind, text, job_id, data) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.row_id())
        .bind(order_no)
        .bind(clock.now().micros())
        .bind(kind)
        .bind(cut(text))
        .bind(self.job.as_ref().map(|job| job.as_str().to_owned()))
        .bind((!data.is_null()).then(|| data.to_string()))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Records what somebody did by hand.
    pub async fn audit(
        &mut self,
        who: &str,
        what: &str,
        about: &str,
        detail: &str,
    ) -> Result<(), LedgerError> {
        let at = self.ledger.clock().now().micros();
        sqlx::query(
            "INSERT INTO audit_log (id, at, who, what, about, detail) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.row_id())
        .bind(at)
        .bind(cut(who))
        .bind(cut(what))
        .bind(cut(about))
        .bind(cut(detail))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Says that this transaction decides about money: the line is on disk before the commit.
    pub fn money(&mut self, line: MoneyLine) {
        self.money.push(line);
    }

    /// Makes everything so. On an error nothing is.
    ///
    /// # Errors
    /// Also where a decision about money cannot be written down ([`super::MoneyTrail`]).
    pub async fn commit(mut self) -> Result<(), LedgerError> {
        let trail = match std::mem::take(&mut self.money) {
            money if money.is_empty() => None,
            money => {
                let job = self.job.as_ref().map(|job| job.as_str().to_owned());
                Some(Trail::write(&self.ledger, money, job, self.row_id()).await?)
            }
        };
        let committed = self.inner.commit().await;
        match (&committed, &trail) {
            (Ok(()), Some(trail)) => trail.committed(),
            (Err(_), Some(trail)) => trail.not_committed().await,
            (_, None) => {}
        }
        committed?;
        self.span.note(|record| {
            record.set("windlass.ledger.outcome", "committed");
        });
        for kind in self.raised {
            metrics::counter!("windlass_findings_raised_total", "type" => kind.as_str()).increment(1);
        }
        if self.has_put {
            self.ledger.wake().notify_one();
        }
        Ok(())
    }

    pub(crate) fn raised(&mut self, kind: FindingType) {
        self.raised.push(kind);
    }

    /// Sorts by the order of writing within this process; the random tail tells processes apart.
    pub(crate) fn row_id(&self) -> String {
        let position = self.ledger.positions().next(self.ledger.clock());
        format!("{position:016x}-{:08x}", fastrand::u32(..))
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

//! One change of one order: a write transaction that holds the order's lock, moves it, writes its timeline and
//! enqueues what comes next, all or nothing.
//!
//! No call to the outside is made while one lives.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_engine::trace::{self, TraceContext};
use windlass_engine::{Job, JobContext, JobError, JobId, NewJob, Timestamp};

use super::standing::{self, OrderRow, Standing, order_columns};
use super::state::OrderState;
use crate::findings::{FindingType, NewFinding};
use crate::ledger::{LedgerError, Tx};
use crate::outbox::Put;
use crate::shop::Shop;

/// Why a change could not be made.
///
/// Deliberately no [`std::error::Error`]: a bare `?` in a job then takes the conversion below, not the one that makes
/// a plain retry of every error.
#[derive(Debug)]
pub enum ChangeError {
    NoOrder(String),
    NotAllowed {
        from: OrderState,
        to: OrderState,
    },
    /// Somebody else moved it although the lock was held: the ledger was written to from outside.
    Stale,
    Ledger(LedgerError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrder(order_no) => write!(f, "no order {order_no} is recorded"),
            Self::NotAllowed { from, to } => write!(f, "an order that is {from} cannot become {to}"),
            Self::Stale => f.write_str("the order was moved by somebody else"),
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl From<ChangeError> for JobError {
    fn from(error: ChangeError) -> Self {
        let cause = || anyhow::Error::msg(error.to_string());
        match error {
            // The state table forbids it: a fault of ours that no repetition cures.
            ChangeError::NotAllowed { .. } => JobError::fail(cause()),
            ChangeError::NoOrder(_) | ChangeError::Stale => JobError::retry(cause()),
            ChangeError::Ledger(error) => JobError::retry(error),
        }
    }
}

impl From<LedgerError> for ChangeError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Ledger(error.into())
    }
}

/// What only a person can decide about an order.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    kind: FindingType,
    /// Once for ever for each kind.
    key: &'a str,
    /// What is wrong and what to do.
    why: &'a str,
    amount_fen: Option<i64>,
    data: Value,
}

impl<'a> Case<'a> {
    pub fn new(kind: FindingType, key: &'a str, why: &'a str) -> Self {
        Self { kind, key, why, amount_fen: None, data: Value::Null }
    }

    /// What is at stake.
    pub fn amount(self, amount_fen: i64) -> Self {
        Self { amount_fen: Some(amount_fen), ..self }
    }

    /// What it was found by.
    pub fn data(self, data: Value) -> Self {
        Self { data, ..self }
    }
}

pub struct Change<'a> {
    shop: &'a Shop,
    tx: Tx,
    /// As it is with what this change did so far to the order's own row.
    pub standing: Standing,
}

impl<'a> Change<'a> {
    /// Takes the order's lock, which is its version: every other change of it waits or comes after.
    pub async fn begin(shop: &'a Shop, job: &JobContext, order_no: &str) -> Result<Self, ChangeError> {
        let mut tx = shop.ledger.begin().await?;
        tx.on_behalf_of(job.id());
        Self::within(shop, tx, order_no).await
    }

    /// As [`Change::begin`], in a transaction that did something else before.
    pub async fn within(shop: &'a Shop, mut tx: Tx, order_no: &str) -> Result<Self, ChangeError> {
        let sql = concat!(
            "UPDATE orders SET version = version + 1, touched_at = $1 WHERE order_no = $2 RETURNING ",
            order_columns!()
        );
        let order: Option<OrderRow> = sqlx::query_as(sql)
            .bind(shop.clock.now().micros())
            .bind(order_no)
            .fetch_optional(tx.conn())
            .await?;
        let order = order.ok_or_else(|| ChangeError::NoOrder(order_no.to_owned()))?;
        let standing = Standing::of(tx.conn(), order).await?;
        Ok(Self { shop, tx, standing })
    }

    pub fn shop(&self) -> &'a Shop {
        self.shop
    }

    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    pub fn state(&self) -> OrderState {
        self.standing.order.state
    }

    pub fn order_no(&self) -> &str {
        &self.standing.order.order_no
    }

    pub fn now(&self) -> Timestamp {
        self.shop.clock.now()
    }

    /// Moves the order by compare-and-set on its number, state and version, and says so in its timeline.
    pub async fn move_to(&mut self, to: OrderState, why: &str) -> Result<(), ChangeError> {
        if !self.state().may_become(to) {
            return Err(ChangeError::NotAllowed { from: self.state(), to });
        }
        self.put_in(to, why).await
    }

    /// The one way out of an end: an order that was given up only because nobody had paid is paid for after all.
    pub async fn revive(&mut self, why: &str) -> Result<(), ChangeError> {
        if !self.standing.may_be_revived() {
            return Err(ChangeError::NotAllowed { from: self.state(), to: OrderState::Paid });
        }
        self.put_in(OrderState::Paid, why).await
    }

    async fn put_in(&mut self, to: OrderState, why: &str) -> Result<(), ChangeError> {
        let from = self.standing.order.state;
        let resume = if to.is_winding_down() { from.as_str() } else { "" };
        let reason = if to.is_winding_down() {
            why
        } else if to.is_terminal() {
            &self.standing.order.reason
        } else {
            ""
        };
        let now = self.now().micros();
        let moved = sqlx::query(
            "UPDATE orders SET state = $1, resume_state = $2, reason = $3, state_at = $4, track_at = $4 \
             WHERE order_no = $5 AND state = $6 AND version = $7",
        )
        .bind(to.as_str())
        .bind(resume)
        .bind(reason)
        .bind(now)
        .bind(&self.standing.order.order_no)
        .bind(from.as_str())
        .bind(self.standing.order.version)
        .execute(self.tx.conn())
        .await?;
        if moved.rows_affected() != 1 {
            return Err(ChangeError::Stale);
        }
        let (resume, reason) = (resume.to_owned(), reason.to_owned());
        let order = &mut self.standing.order;
        (order.state, order.resume_state, order.reason, order.state_at) = (to, resume, reason, now);
        metrics::counter!("windlass_order_moves_total", "to" => to.as_str()).increment(1);
        self.event(to.as_str(), why, json!({ "from": from.as_str() })).await
    }

    /// Where an order that winds down goes back to when the supplier keeps it.
    pub async fn set_resume(&mut self, to: OrderState) -> Result<(), ChangeError> {
        sqlx::query("UPDATE orders SET resume_state = $1 WHERE order_no = $2")
            .bind(to.as_str())
            .bind(&self.standing.order.order_no)
            .execute(self.tx.conn())
            .await?;
        to.as_str().clone_into(&mut self.standing.order.resume_state);
        Ok(())
    }

    pub async fn event(&mut self, kind: &str, text: &str, data: Value) -> Result<(), ChangeError> {
        Ok(self.tx.event(&self.standing.order.order_no, kind, text, &data).await?)
    }

    /// Leaves the matter to a person, as a finding about this order. False: it was found before.
    pub async fn needs_person(&mut self, case: Case<'_>) -> Result<bool, ChangeError> {
        let order_no = self.standing.order.order_no.clone();
        let finding = NewFinding {
            kind: case.kind,
            key: case.key,
            order_no: Some(&order_no),
            amount_fen: case.amount_fen,
            text: case.why,
            evidence: case.data,
        };
        Ok(self.tx.raise(&finding).await?)
    }

    /// Enqueues the next step of this order: its id is derived from the order and this very change, so that there
    /// is one however often the change is tried.
    pub async fn next<J: Job>(&mut self, step: &J) -> Result<(), ChangeError> {
        self.next_after(step, Duration::ZERO).await
    }

    pub async fn next_after<J: Job>(&mut self, step: &J, after: Duration) -> Result<(), ChangeError> {
        let order = &self.standing.order;
        let id = step_id(J::KIND, &order.order_no, order.version);
        self.next_as(id, step, after).await
    }

    /// As [`Change::next_after`] under an id of the caller's: for what is due once whatever the order's version.
    pub async fn next_as<J: Job>(&mut self, id: JobId, step: &J, after: Duration) -> Result<(), ChangeError> {
        let mut job = NewJob::of(step, &self.shop.clock).id(id).tag(format!("order:{}", self.order_no()));
        if after > Duration::ZERO {
            job = job.run_at(self.now() + after);
        }
        job.envelope.traceparent = self.other_trace();
        if let Put::Duplicate { .. } = self.tx.enqueue(&job).await? {
            // The one that holds the key may have looked at the order before this change, or be over already and
            // only not cleared away: this change's step must not be lost to it.
            job.unique = None;
            self.tx.enqueue(&job).await?;
        }
        Ok(())
    }

    /// The trace in which the order was handed in, where this change is the work of another one (a callback's, a
    /// sweep's): an order is one story, whoever moves it.
    fn other_trace(&self) -> Option<String> {
        let own = self.standing.order.traceparent.as_deref().and_then(TraceContext::parse)?;
        let is_here = trace::current().is_some_and(|here| here.trace_id == own.trace_id);
        (!is_here).then(|| own.to_traceparent())
    }

    pub async fn lines(&mut self) -> Result<Vec<standing::LineRow>, ChangeError> {
        Ok(standing::lines(self.tx.conn(), &self.standing.order.order_no).await?)
    }

    /// Reads again what hangs on the order, after rows of it were written.
    pub async fn refresh(&mut self) -> Result<(), ChangeError> {
        let order = self.standing.order.clone();
        self.standing = Standing::of(self.tx.conn(), order).await?;
        Ok(())
    }

    pub async fn commit(self) -> Result<(), ChangeError> {
        Ok(self.tx.commit().await?)
    }
}

/// The id of a step of an order: one for each version of it.
pub fn step_id(kind: &str, order_no: &str, version: i64) -> JobId {
    JobId::derived(&[kind, order_no, &format!("v{version}")])
}

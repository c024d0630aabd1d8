//! The trail of money: one line for each decision about it, on disk before the decision holds.
//!
//! Whoever decides says so within its transaction ([`Tx::money`]); [`Tx::commit`] has the lines written first and commits
//! then, so that nothing about money is in the ledger, and nothing is told to the outside or answered to a caller, of
//! which the trail does not know. Where the lines cannot be written, the transaction fails as if the ledger were away:
//! it is tried again and uses up no attempt. A commit that fails after its lines adds a line that says so; whether it
//! took place all the same is the ledger's to say.
//!
//! A line has numbers, amounts and who decided: no name, phone, address or openid of a customer, and no free text, which
//! might hold one. Deliberately not here: where the lines are kept. That is the process's affair ([`MoneyTrail`]);
//! without one they are log events of the target [`TARGET`] only.

use std::sync::Arc;

use serde::Serialize;

use super::{Ledger, LedgerError};

/// The target of the events.
pub const TARGET: &str = "windlass::audit";

/// Where the lines are kept.
pub trait MoneyTrail: Send + Sync {
    /// Writes whole lines, each with its line break. Blocks; when it answers, they survive the process and the machine.
    ///
    /// # Errors
    /// When they cannot be written now. Some of the bytes may have been.
    fn write(&self, lines: &str) -> std::io::Result<()>;
}

/// One decision about money.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MoneyLine {
    /// Such as `refund.requested`.
    what: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    order_no: String,
    /// What is decided about, in fen; negative: against us.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_fen: Option<i64>,
    /// What was expected, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_fen: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_no: Option<String>,
    /// WeChat's number of the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    /// WeChat's number of the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    /// The key of the effect on the outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<String>,
    /// A word of a bounded set: a state, an origin, a code of the outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<String>,
    /// The person or key that decided; without it the job did.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Characters of one value; the rest is cut off. Numbers of orders and of WeChat's have 64 at most.
const VALUE_CHARS_MAX: usize = 200;

impl MoneyLine {
    pub fn new(what: &'static str, order_no: &str) -> Self {
        Self { what, order_no: cut(order_no), ..Self::default() }
    }

    pub fn amount(self, fen: i64) -> Self {
        Self { amount_fen: Some(fen), ..self }
    }

    pub fn expected(self, fen: i64) -> Self {
        Self { expected_fen: Some(fen), ..self }
    }

    pub fn refund(self, refund_no: &str) -> Self {
        Self { refund_no: Some(cut(refund_no)), ..self }
    }

    /// Empty: not known.
    pub fn transaction(self, id: &str) -> Self {
        Self { transaction_id: (!id.is_empty()).then(|| cut(id)), ..self }
    }

    /// Empty: not known.
    pub fn refund_id(self, id: &str) -> Self {
        Self { refund_id: (!id.is_empty()).then(|| cut(id)), ..self }
    }

    pub fn effect(self, key: &str) -> Self {
        Self { effect: Some(cut(key)), ..self }
    }

    /// A word of a bounded set. Empty: there is none.
    pub fn how(self, word: &str) -> Self {
        Self { how: (!word.is_empty()).then(|| cut(word)), ..self }
    }

    pub fn by(self, who: &str) -> Self {
        Self { by: (!who.is_empty()).then(|| cut(who)), ..self }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(VALUE_CHARS_MAX).collect()
}

/// A line as it is written.
#[derive(Serialize)]
struct Written<'a> {
    /// Wall time.
    timestamp: String,
    level: &'static str,
    target: &'static str,
    #[serde(flatten)]
    line: &'a MoneyLine,
    /// The shop's time, which may run faster than the wall's.
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    /// The same for all lines of one transaction.
    tx: &'a str,
}

/// The lines of one transaction, on their way.
pub(super) struct Trail {
    trail: Option<Arc<dyn MoneyTrail>>,
    ledger: Ledger,
    lines: Vec<MoneyLine>,
    job: Option<String>,
    tx: String,
}

impl Trail {
    /// Writes the lines ahead of the commit.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] where they cannot be written: nothing may be committed then.
    pub async fn write(
        ledger: &Ledger,
        lines: Vec<MoneyLine>,
        job: Option<String>,
        tx: String,
    ) -> Result<Self, LedgerError> {
        let trail = Self { trail: ledger.money_trail(), ledger: ledger.clone(), lines, job, tx };
        trail.put(&trail.lines).await.map_err(|why| {
            metrics::counter!("windlass_audit_failures_total").increment(1);
            LedgerError::Unavailable(format!(
                "the payment audit cannot be written ({why}), so nothing is decided about money"
            ))
        })?;
        Ok(trail)
    }

    /// Tells the log what was decided.
    pub fn committed(&self) {
        for line in &self.lines {
            tracing::info!(
                target: TARGET,
                what = line.what,
                order_no = line.order_no,
                amount_fen = line.amount_fen,
                expected_fen = line.expected_fen,
                refund_no = line.refund_no,
                transaction_id = line.transaction_id,
                refund_id = line.refund_id,
                effect = line.effect,
                how = line.how,
                by = line.by,
                job = self.job,
                tx = self.tx,
                "money"
            );
        }
    }

    /// The commit was not answered well. Of a line that cannot be written either, nothing more can be said: the lines
    /// before it stand alone, and the ledger decides.
    pub async fn not_committed(&self) {
        let orders = self.lines.first().map_or("", |line| line.order_no.as_str());
        if self.put(&[MoneyLine::new("commit.failed", orders)]).await.is_err() {
            metrics::counter!("windlass_audit_failures_total").increment(1);
        }
    }

    fn written(&self, line: &MoneyLine) -> String {
        let clock = self.ledger.clock();
        let written = Written {
            timestamp: clock.wall().to_rfc3339(),
            level: "INFO",
            target: TARGET,
            line,
            at: clock.now().to_rfc3339(),
            job: self.job.as_deref(),
            tx: &self.tx,
        };
        let json = serde_json::to_string(&written).expect("strings and numbers are JSON");
        json + "\n"
    }

    async fn put(&self, lines: &[MoneyLine]) -> Result<(), String> {
        let Some(trail) = self.trail.clone() else { return Ok(()) };
        let text: String = lines.iter().map(|line| self.written(line)).collect();
        let put = tokio::task::spawn_blocking(move || trail.write(&text)).await;
        put.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

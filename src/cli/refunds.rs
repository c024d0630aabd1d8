//! `windlass refunds …`, `windlass payments …` and `windlass uploads …`: money and shipments that wait for a person.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::jobs::{Said, paged, text};
use super::table::Table;

#[derive(Debug, Subcommand)]
pub enum Refunds {
    /// The oldest first.
    List {
        /// needs_person, requested, accepted, succeeded, closed, abnormal or refused.
        #[arg(long)]
        state: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Makes a refund that came to nothing again, under a new number.
    Replace {
        refund_no: String,
        /// It stands in the audit log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Payments {
    /// Decides about a payment in dispute.
    Settle {
        order_no: String,
        #[arg(long)]
        decision: Decision,
        /// It stands in the audit log; with a refund the customer reads it.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Decision {
    /// The order goes on with the amount that came.
    Accept,
    /// All of it goes back, and the order is cancelled.
    Refund,
}

#[derive(Debug, Subcommand)]
pub enum Uploads {
    /// Decides about a shipment that WeChat did not take.
    Settle {
        order_no: String,
        #[arg(long)]
        outcome: UploadOutcome,
        /// It stands in the audit log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum UploadOutcome {
    /// WeChat has it.
    Uploaded,
    /// What was wrong is put right: it is told again.
    Again,
    /// There is nothing to upload.
    NotNeeded,
}

impl Refunds {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { state, limit, cursor } => {
                let limit = limit.to_string();
                let mut query = vec![("limit", limit.as_str())];
                query.extend(state.as_deref().map(|state| ("state", state)));
                query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
                let json = api.get("/v1/refunds", &query).await?;
                let text = listed(&json);
                Ok(Said { json, text })
            }
            Self::Replace { refund_no, reason } => {
                let path = format!("/v1/refunds/{}/replace", segment(&refund_no));
                let json = api.post(&path, &json!({ "reason": reason })).await?;
                let text = format!("{refund_no} replaced by {}", text(&json, "replaced_by"));
                Ok(Said { json, text })
            }
        }
    }
}

impl Payments {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        let Self::Settle { order_no, decision, reason } = self;
        let decision = match decision {
            Decision::Accept => "accept",
            Decision::Refund => "refund",
        };
        let path = format!("/v1/payments/{}/settle", segment(&order_no));
        let json = api.post(&path, &json!({ "decision": decision, "reason": reason })).await?;
        let text = format!("{order_no} {}", text(&json, "order_state"));
        Ok(Said { json, text })
    }
}

impl Uploads {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        let Self::Settle { order_no, outcome, reason } = self;
        let outcome = match outcome {
            UploadOutcome::Uploaded => "uploaded",
            UploadOutcome::Again => "again",
            UploadOutcome::NotNeeded => "not_needed",
        };
        let path = format!("/v1/orders/{}/upload/settle", segment(&order_no));
        let json = api.post(&path, &json!({ "outcome": outcome, "reason": reason })).await?;
        Ok(Said { json, text: format!("{order_no} {outcome}") })
    }
}

fn listed(page: &Value) -> String {
    let mut table =
        Table::new(&["refund", "order", "fen", "state", "requested", "note", "replaced by"]).right(2);
    for refund in page.get("refunds").and_then(Value::as_array).into_iter().flatten() {
        let fen = refund.get("amount_fen").and_then(Value::as_i64).unwrap_or_default().to_string();
        let cell = |key: &str| text(refund, key).to_owned();
        table.row([
            cell("refund_no"),
            cell("order_no"),
            fen,
            cell("state"),
            cell("requested_at"),
            cell("note"),
            cell("replaced_by"),
        ]);
    }
    paged(table.to_string(), page)
}

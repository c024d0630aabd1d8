//! `windlass effects …`: what was done to the outside, and what somebody found out about it.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::jobs::{Said, paged, text};
use super::table::Table;

#[derive(Debug, Subcommand)]
pub enum Effects {
    /// The oldest first.
    List {
        /// intended, done, refused or in_doubt.
        #[arg(long, default_value = "in_doubt")]
        state: String,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Says what became of an effect in doubt.
    Settle {
        key: String,
        #[arg(long)]
        outcome: Outcome,
        /// How it is known; it stands in the audit log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Outcome {
    /// The outside has it.
    Done,
    /// The outside will not do it.
    Refused,
    /// The outside never heard of it: it is told again.
    NeverHappened,
}

impl Effects {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { state, limit, cursor } => {
                let limit = limit.to_string();
                let mut query = vec![("state", state.as_str()), ("limit", &limit)];
                query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
                let json = api.get("/v1/effects", &query).await?;
                let text = listed(&json);
                Ok(Said { json, text })
            }
            Self::Settle { key, outcome, reason } => {
                let outcome = match outcome {
                    Outcome::Done => "done",
                    Outcome::Refused => "refused",
                    Outcome::NeverHappened => "never_happened",
                };
                let body = json!({ "outcome": outcome, "reason": reason });
                let json = api.post(&format!("/v1/effects/{}/settle", segment(&key)), &body).await?;
                Ok(Said { json, text: format!("{key} {outcome}") })
            }
        }
    }
}

fn listed(page: &Value) -> String {
    let mut table = Table::new(&["key", "order", "state", "calls", "since", "last error"]).right(3);
    for effect in page.get("effects").and_then(Value::as_array).into_iter().flatten() {
        let calls = effect.get("tells").and_then(Value::as_i64).unwrap_or_default().to_string();
        let cell = |key: &str| text(effect, key).to_owned();
        let cells =
            [cell("key"), cell("about"), cell("state"), calls, cell("created_at"), cell("last_error")];
        table.row(cells);
    }
    paged(table.to_string(), page)
}

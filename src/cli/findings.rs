//! `windlass findings …`: the cases that people look at.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::jobs::{Said, paged};
use super::table::Table;

#[derive(Debug, Subcommand)]
pub enum Findings {
    /// The oldest first.
    List {
        /// What is wrong: long, short, amount, fee, …
        #[arg(long = "type")]
        kind: Option<String>,
        /// open, assigned, resolved or superseded.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        owner: Option<String>,
        #[arg(long)]
        order_no: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// One case, whole.
    Show { id: String },
    /// Gives a case to somebody.
    Assign { id: String, owner: String },
    /// Ends a case.
    Resolve {
        id: String,
        /// Why it is over.
        #[arg(long)]
        reason: String,
        /// What was booked elsewhere to make good for it; negative: against us.
        #[arg(long, allow_hyphen_values = true)]
        adjustment_fen: Option<i64>,
    },
}

impl Findings {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { kind, state, owner, order_no, limit, cursor } => {
                let limit = limit.to_string();
                let wanted = [
                    ("type", kind),
                    ("state", state),
                    ("owner", owner),
                    ("order_no", order_no),
                    ("cursor", cursor),
                ];
                let mut query = vec![("limit", limit.as_str())];
                query.extend(wanted.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
                let json = api.get("/v1/findings", &query).await?;
                Ok(Said { text: paged(table(&json["findings"]), &json), json })
            }
            Self::Show { id } => {
                let json = api.get(&format!("/v1/findings/{}", segment(&id)), &[]).await?;
                Ok(Said { text: case(&json), json })
            }
            Self::Assign { id, owner } => {
                let path = format!("/v1/findings/{}/assign", segment(&id));
                let json = api.post(&path, &json!({ "owner": owner })).await?;
                let text = format!("{id} is {}'s", word(&json, "owner"));
                Ok(Said { json, text })
            }
            Self::Resolve { id, reason, adjustment_fen } => {
                let path = format!("/v1/findings/{}/resolve", segment(&id));
                let said = json!({ "reason": reason, "adjustment_fen": adjustment_fen });
                let json = api.post(&path, &said).await?;
                let text = format!("{id} {}", word(&json, "state"));
                Ok(Said { json, text })
            }
        }
    }
}

/// Cases, one a line.
pub(super) fn table(findings: &Value) -> String {
    let mut table = Table::new(&["id", "type", "state", "owner", "order", "fen", "raised", "key"]).right(5);
    for case in findings.as_array().into_iter().flatten() {
        let fen = case["amount_fen"].as_i64().map(|fen| fen.to_string()).unwrap_or_default();
        table.row([
            word(case, "id"),
            word(case, "type"),
            word(case, "state"),
            word(case, "owner"),
            word(case, "order_no"),
            fen,
            word(case, "raised_at"),
            word(case, "key"),
        ]);
    }
    table.to_string()
}

fn case(case: &Value) -> String {
    let mut text = format!(
        "{} {} {}\n{}\n",
        word(case, "id"),
        word(case, "type"),
        word(case, "state"),
        word(case, "text")
    );
    for name in ["key", "order_no", "owner", "raised_at", "settled_at", "settled_by", "reason"] {
        let said = word(case, name);
        if !said.is_empty() {
            text.push_str(&format!("{name}: {said}\n"));
        }
    }
    for name in ["amount_fen", "adjustment_fen"] {
        if let Some(fen) = case[name].as_i64() {
            text.push_str(&format!("{name}: {fen}\n"));
        }
    }
    text.push_str(&format!("evidence: {:#}\n", case["evidence"]));
    text
}

/// A text of a document, without what would move the cursor of a terminal: bills are written by others.
pub(super) fn word(of: &Value, name: &str) -> String {
    let text = of[name].as_str().unwrap_or_default();
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

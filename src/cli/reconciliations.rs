//! `windlass reconciliations …`: days whose bills were compared with the books.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::findings::{self, word};
use super::jobs::{Said, paged};
use super::table::Table;

#[derive(Debug, Subcommand)]
pub enum Reconciliations {
    /// The newest day first.
    List {
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// A day's report and its findings.
    Show {
        /// yyyy-MM-dd.
        date: String,
        /// Not the newest version, but this one.
        #[arg(long)]
        version: Option<i64>,
    },
    /// Hands in the comparison of a day.
    Run {
        /// yyyy-MM-dd.
        date: String,
        /// Also where the same files were compared before.
        #[arg(long)]
        again: bool,
    },
}

impl Reconciliations {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { limit, cursor } => {
                let limit = limit.to_string();
                let mut query = vec![("limit", limit.as_str())];
                query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
                let json = api.get("/v1/reconciliations", &query).await?;
                Ok(Said { text: paged(list(&json["reconciliations"]), &json), json })
            }
            Self::Show { date, version } => {
                let version = version.map(|version| version.to_string());
                let mut query = vec![("format", "json")];
                query.extend(version.as_deref().map(|version| ("version", version)));
                let json = api.get(&format!("/v1/reconciliations/{}", segment(&date)), &query).await?;
                Ok(Said { text: report(&json), json })
            }
            Self::Run { date, again } => {
                let json = api.post("/v1/reconciliations", &json!({ "date": date, "again": again })).await?;
                let text = format!("{} {}", word(&json, "id"), word(&json, "state"));
                Ok(Said { json, text })
            }
        }
    }
}

fn list(reconciliations: &Value) -> String {
    let mut table = Table::new(&["day", "version", "state", "matched", "carried", "findings", "finished"]);
    for column in [1, 3, 4, 5] {
        table = table.right(column);
    }
    for of in reconciliations.as_array().into_iter().flatten() {
        let report = &of["report"];
        let sum = |name: &str| {
            let count = |leg: &str| report[leg][name]["count"].as_u64().unwrap_or(0);
            (count("payments") + count("refunds")).to_string()
        };
        let findings = report["findings"].as_object().into_iter().flatten();
        let findings: u64 = findings.filter_map(|(_, count)| count.as_u64()).sum();
        table.row([
            word(of, "day"),
            of["version"].to_string(),
            word(of, "state"),
            sum("matched"),
            sum("carried"),
            findings.to_string(),
            word(of, "finished_at"),
        ]);
    }
    table.to_string()
}

fn report(of: &Value) -> String {
    let report = &of["report"];
    let mut text = format!(
        "{} of merchant {}, version {}: {}\n",
        word(of, "day"),
        word(of, "mchid"),
        of["version"],
        word(of, "state")
    );
    if !word(of, "reason").is_empty() {
        text.push_str(&format!("{}\n", word(of, "reason")));
    }
    let names = ["ours", "theirs", "matched", "of_other_days", "elsewhere", "carried"];
    let mut legs =
        Table::new(&["", "ours", "WeChat's", "matched", "of other days", "in other bills", "carried"]);
    for column in 1..=names.len() {
        legs = legs.right(column);
    }
    for leg in ["payments", "refunds", "funds"] {
        if report[leg].is_object() {
            let cells = names.map(|name| {
                let side = &report[leg][name];
                format!("{} ({} fen)", side["count"], side["sum_fen"])
            });
            legs.row(std::iter::once(leg.to_owned()).chain(cells));
        }
    }
    text.push_str(&format!("\n{legs}\n"));
    for (kind, count) in report["findings"].as_object().into_iter().flatten() {
        text.push_str(&format!("{kind}: {count}\n"));
    }
    if let Some(changed) = report["changed"].as_object() {
        let count = |name: &str| changed.get(name).cloned().unwrap_or_default();
        text.push_str(&format!(
            "against version {}: {} new, {} found again, {} gone\n",
            count("since_version"),
            count("new"),
            count("still"),
            count("gone")
        ));
    }
    text.push_str(&format!(
        "sent to be healed: {}; open of all days: {}\n\n{}",
        report["heals_sent"],
        report["open"]["count"],
        findings::table(&of["findings"])
    ));
    if of["has_more_findings"] == json!(true) {
        text.push_str("there are more: ask for ?format=csv\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_a_table_and_moves_no_cursor() {
        let side = json!({ "count": 2, "sum_fen": 300 });
        let leg = json!({ "ours": side, "theirs": side, "matched": side, "of_other_days": side,
            "elsewhere": side, "carried": side });
        let text = report(&json!({
            "day": "2026-01-05", "mchid": "1900000001", "version": 2, "state": "done",
            "report": { "payments": leg, "refunds": leg, "funds": null, "findings": { "fee": 1 },
                "heals_sent": 1, "open": { "count": 3 },
                "changed": { "since_version": 1, "new": 1, "still": 0, "gone": 2 } },
            "findings": [{ "id": "00ff", "type": "fee", "state": "open", "key": "42\u{1b}[2J", "amount_fen": 2 }],
            "has_more_findings": false,
        }));
        assert!(text.starts_with("2026-01-05 of merchant 1900000001, version 2: done\n"), "{text}");
        assert!(text.contains("2 (300 fen)") && text.contains("fee: 1\n"), "{text}");
        assert!(text.contains("against version 1: 1 new, 0 found again, 2 gone"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("\nfunds"), "{text}");
    }
}

//! `windlass webhooks …`: endpoints and what they were told, over the HTTP API.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::jobs::{Said, paged, text};
use super::table::Table;

#[derive(Debug, Subcommand)]
pub enum Webhooks {
    /// Every endpoint.
    List,
    /// Makes an endpoint and shows its secret, once.
    Create {
        url: String,
        /// Types of events such as order.paid or order.*, several with commas between [default: all].
        #[arg(long, value_delimiter = ',')]
        types: Vec<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// One endpoint, whole.
    Show { id: String },
    /// Tells an endpoint at another address from now on, under the secret that it has.
    Move { id: String, url: String },
    /// Takes an endpoint away.
    Delete { id: String },
    /// Gives an endpoint a new secret and shows it, once; the old one signs too for a while.
    Rotate { id: String },
    /// An endpoint is told again of what happens from now on.
    Enable { id: String },
    /// An endpoint is told of nothing more.
    Disable { id: String },
    /// Sends an endpoint a message of the type webhook.test.
    Test { id: String },
    /// What an endpoint was told, the newest first; with a message's id, each try of that.
    Deliveries {
        id: String,
        message: Option<String>,
        /// queued, delivered, failed or dropped.
        #[arg(long)]
        state: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Delivers again: one message, or whatever failed or was dropped since an instant.
    Redeliver {
        id: String,
        #[arg(required_unless_present = "since")]
        message: Option<String>,
        /// RFC 3339.
        #[arg(long, conflicts_with = "message")]
        since: Option<String>,
    },
}

impl Webhooks {
    /// # Errors
    /// When the API refuses, in its words.
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List => {
                let json = api.get("/v1/webhooks", &[]).await?;
                Ok(Said { text: listed(&json), json })
            }
            Self::Create { url, types, description } => {
                let body = json!({ "url": url, "types": types, "description": description });
                Ok(shown_once(api.post("/v1/webhooks", &body).await?))
            }
            Self::Show { id } => {
                let json = api.get(&of(&id, ""), &[]).await?;
                Ok(Said { text: serde_json::to_string_pretty(&json)?, json })
            }
            Self::Move { id, url } => {
                let json = api.patch(&of(&id, ""), &json!({ "url": url })).await?;
                let text = format!("{} is told at {}", text(&json, "id"), text(&json, "url"));
                Ok(Said { json, text })
            }
            Self::Delete { id } => {
                api.delete(&of(&id, "")).await?;
                Ok(Said { json: json!({ "id": id, "deleted": true }), text: format!("{id} deleted") })
            }
            Self::Rotate { id } => Ok(shown_once(api.post(&of(&id, "/rotate"), &json!({})).await?)),
            Self::Enable { id } => Ok(switched(api.post(&of(&id, "/enable"), &json!({})).await?)),
            Self::Disable { id } => Ok(switched(api.post(&of(&id, "/disable"), &json!({})).await?)),
            Self::Test { id } => {
                let json = api.post(&of(&id, "/test"), &json!({})).await?;
                let text = format!("{} is on its way", text(&json, "message"));
                Ok(Said { json, text })
            }
            Self::Deliveries { id, message: Some(message), .. } => {
                let json = api.get(&of(&id, &format!("/deliveries/{}", segment(&message))), &[]).await?;
                Ok(Said { text: tried(&json), json })
            }
            Self::Deliveries { id, message: None, state, limit, cursor } => {
                let limit = limit.to_string();
                let wanted = [("state", state), ("limit", Some(limit)), ("cursor", cursor)];
                let query: Vec<_> =
                    wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
                let json = api.get(&of(&id, "/deliveries"), &query).await?;
                Ok(Said { text: delivered(&json), json })
            }
            Self::Redeliver { id, message, since } => {
                let body = match (message, since) {
                    (Some(message), _) => json!({ "message": message }),
                    (None, since) => json!({ "since": since }),
                };
                let json = api.post(&of(&id, "/redeliver"), &body).await?;
                let text = format!("{} on their way again", json["redelivered"]);
                Ok(Said { json, text })
            }
        }
    }
}

fn of(id: &str, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", segment(id))
}

fn shown_once(json: Value) -> Said {
    let text = format!(
        "{}\nIt is shown this once: give it to the receiver, which verifies with it. The endpoint's id is {}.",
        text(&json, "secret"),
        text(&json, "id")
    );
    Said { json, text }
}

fn switched(json: Value) -> Said {
    let text = format!("{} {}", text(&json, "id"), text(&json, "state"));
    Said { json, text }
}

fn listed(json: &Value) -> String {
    let mut table = Table::new(&["id", "url", "types", "state", "failures", "delivered"]).right(4);
    for row in json.get("webhooks").and_then(Value::as_array).into_iter().flatten() {
        let types: Vec<_> = row
            .get("types")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let types = if types.is_empty() { "all".to_owned() } else { types.join(",") };
        let cell = |key: &str| text(row, key).to_owned();
        let failures = row.get("failures").and_then(Value::as_i64).unwrap_or_default().to_string();
        table.row([cell("id"), cell("url"), types, cell("state"), failures, cell("delivered_at")]);
    }
    table.to_string()
}

fn delivered(page: &Value) -> String {
    let mut table =
        Table::new(&["message", "type", "state", "tries", "status", "queued", "note"]).right(3).right(4);
    for row in page.get("deliveries").and_then(Value::as_array).into_iter().flatten() {
        let cell = |key: &str| text(row, key).to_owned();
        let number =
            |key: &str| row.get(key).and_then(Value::as_i64).map(|n| n.to_string()).unwrap_or_default();
        table.row([
            cell("message"),
            cell("type"),
            cell("state"),
            number("tries"),
            number("status"),
            cell("queued_at"),
            cell("note"),
        ]);
    }
    paged(table.to_string(), page)
}

fn tried(page: &Value) -> String {
    let mut table =
        Table::new(&["round", "try", "at", "ms", "status", "note"]).right(0).right(1).right(3).right(4);
    for row in page.get("tries").and_then(Value::as_array).into_iter().flatten() {
        let number =
            |key: &str| row.get(key).and_then(Value::as_i64).map(|n| n.to_string()).unwrap_or_default();
        table.row([
            number("round"),
            number("nth"),
            text(row, "at").to_owned(),
            number("took_ms"),
            number("status"),
            text(row, "note").to_owned(),
        ]);
    }
    table.to_string()
}

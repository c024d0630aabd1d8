//! `windlass enqueue` and `windlass jobs …`.

use std::io::Read;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::api::{Api, segment};
use super::table::Table;

#[derive(Debug, Args)]
pub struct Enqueue {
    /// The kind of job: see `GET /v1/kinds`.
    kind: String,
    /// The payload as JSON; `-` reads it from standard input.
    #[arg(default_value = "{}")]
    payload: String,
    /// An id of your own: enqueueing twice under one id is enqueueing once.
    #[arg(long)]
    id: Option<String>,
    #[arg(long)]
    queue: Option<String>,
    /// critical, high, normal or low.
    #[arg(long)]
    priority: Option<String>,
    /// RFC 3339.
    #[arg(long, conflicts_with = "delay_seconds")]
    run_at: Option<String>,
    #[arg(long)]
    delay_seconds: Option<u64>,
    #[arg(long)]
    unique_key: Option<String>,
    #[arg(long)]
    max_attempts: Option<u32>,
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// Waits up to so many seconds for the job's end.
    #[arg(long)]
    wait: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// The newest jobs first.
    List {
        /// scheduled, ready, running, retrying, completed, dead or cancelled.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        queue: Option<String>,
        #[arg(long)]
        tag: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// One job, whole.
    Show { id: String },
    /// Why a job is not running, in words.
    Why { id: String },
    /// A dead or cancelled job runs again, its attempts counted from none.
    Retry { id: String },
    /// A job that is not over ends; a running one is asked to stop.
    Cancel { id: String },
}

/// What a command has to say: a document for `--json`, text for people.
pub struct Said {
    pub json: Value,
    pub text: String,
}

impl Enqueue {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        let payload = if self.payload == "-" { from_stdin()? } else { self.payload };
        let payload: Value = serde_json::from_str(&payload).context("the payload is not JSON")?;
        let mut body =
            Map::from_iter([("kind".to_owned(), json!(self.kind)), ("payload".to_owned(), payload)]);
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        put("id", self.id.map(Value::from));
        put("queue", self.queue.map(Value::from));
        put("priority", self.priority.map(Value::from));
        put("run_at", self.run_at.map(Value::from));
        put("delay_seconds", self.delay_seconds.map(Value::from));
        put("unique_key", self.unique_key.map(Value::from));
        put("max_attempts", self.max_attempts.map(Value::from));
        put("tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        let mut json = api.post("/v1/jobs", &Value::Object(body)).await?;
        let id = text(&json, "id").to_owned();
        if let Some(wait) = self.wait {
            json = api.get(&format!("/v1/jobs/{}", segment(&id)), &[("wait", &wait.to_string())]).await?;
        }
        let text = format!("{id} {}", text(&json, "state"));
        Ok(Said { json, text })
    }
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}

impl Jobs {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { state, kind, queue, tag, limit, cursor } => {
                let limit = limit.to_string();
                let wanted = [
                    ("state", state),
                    ("kind", kind),
                    ("queue", queue),
                    ("tag", tag),
                    ("limit", Some(limit)),
                    ("cursor", cursor),
                ];
                let query: Vec<_> =
                    wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
                let json = api.get("/v1/jobs", &query).await?;
                let text = listed(&json);
                Ok(Said { json, text })
            }
            Self::Show { id } => {
                let json = api.get(&format!("/v1/jobs/{}", segment(&id)), &[]).await?;
                let text = serde_json::to_string_pretty(&json)?;
                Ok(Said { json, text })
            }
            Self::Why { id } => {
                let json = api.get(&format!("/v1/jobs/{}/why", segment(&id)), &[]).await?;
                let text = text(&json, "why").to_owned();
                Ok(Said { json, text })
            }
            Self::Retry { id } => act(api, &id, "retry").await,
            Self::Cancel { id } => act(api, &id, "cancel").await,
        }
    }
}

async fn act(api: &Api, id: &str, action: &str) -> anyhow::Result<Said> {
    let json = api.post(&format!("/v1/jobs/{}/{action}", segment(id)), &json!({})).await?;
    let text = format!("{id} {}", text(&json, "state"));
    Ok(Said { json, text })
}

fn listed(page: &Value) -> String {
    let mut table = Table::new(&["id", "kind", "queue", "state", "attempt", "run at"]).right(4);
    let jobs = page.get("jobs").and_then(Value::as_array);
    for job in jobs.into_iter().flatten() {
        let attempt = job.get("attempt").and_then(Value::as_u64).unwrap_or_default().to_string();
        let cell = |key: &str| text(job, key).to_owned();
        table.row([cell("id"), cell("kind"), cell("queue"), cell("state"), attempt, cell("run_at")]);
    }
    let mut listed = table.to_string();
    match text(page, "cursor") {
        "" => {}
        cursor => listed.push_str(&format!("more: --cursor {cursor}\n")),
    }
    listed
}

pub fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `windlass audit`: whether accepted = the sum of all states, in every queue, and the books of the business hold
/// nothing that must never be.
pub async fn audit(api: &Api) -> anyhow::Result<Said> {
    let json = api.get("/v1/audit", &[]).await?;
    let columns =
        ["accepted", "scheduled", "ready", "running", "retrying", "completed", "dead", "cancelled", "pruned"];
    let mut header = vec!["queue"];
    header.extend(columns);
    let mut table = Table::new(&header);
    for nth in 1..header.len() {
        table = table.right(nth);
    }
    for queue in json.get("queues").and_then(Value::as_array).into_iter().flatten() {
        let number = |key: &&str| queue.get(*key).and_then(Value::as_u64).unwrap_or_default().to_string();
        table.row(std::iter::once(text(queue, "queue").to_owned()).chain(columns.iter().map(number)));
    }
    if json.get("balanced").and_then(Value::as_bool) != Some(true) {
        bail!("the books do not balance:\n{table}{}", serde_json::to_string_pretty(&json)?);
    }
    Ok(Said { json, text: format!("{table}balanced\n") })
}

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
    /// A dead or cancelled job runs again, its attempts counted from none; or all that a filter finds.
    Retry(Which),
    /// A job that is not over ends, a running one is asked to stop; or all that a filter finds.
    Cancel(Which),
    /// A job that waits for its time is due now; or all that a filter finds.
    Promote(Which),
    /// Forgets jobs that are over, and that a filter finds.
    Delete(Which),
}

/// One job, or those that a filter finds.
#[derive(Debug, Args)]
pub struct Which {
    /// The job.
    #[arg(required_unless_present = "state", conflicts_with_all = ["state", "kind", "queue", "tag"])]
    id: Option<String>,
    /// Every job in this state.
    #[arg(long)]
    state: Option<String>,
    #[arg(long, requires = "state")]
    kind: Option<String>,
    #[arg(long, requires = "state")]
    queue: Option<String>,
    #[arg(long, requires = "state")]
    tag: Option<String>,
    /// Handed in at this instant (RFC 3339) or later.
    #[arg(long, requires = "state")]
    created_after: Option<String>,
    /// Handed in before this instant (RFC 3339).
    #[arg(long, requires = "state")]
    created_before: Option<String>,
    /// Counts them, shows some, and does nothing.
    #[arg(long, requires = "state")]
    dry_run: bool,
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
            Self::Retry(which) => which.act(api, "retry").await,
            Self::Cancel(which) => which.act(api, "cancel").await,
            Self::Promote(which) => which.act(api, "promote").await,
            Self::Delete(which) => which.act(api, "delete").await,
        }
    }
}

impl Which {
    async fn act(self, api: &Api, action: &str) -> anyhow::Result<Said> {
        match &self.id {
            Some(id) if action == "delete" => {
                let json = api.delete(&format!("/v1/jobs/{}", segment(id))).await?;
                Ok(Said { json, text: format!("{id} is gone") })
            }
            Some(id) => {
                let json = api.post(&format!("/v1/jobs/{}/{action}", segment(id)), &json!({})).await?;
                let text = format!("{id} {}", text(&json, "state"));
                Ok(Said { json, text })
            }
            None => self.act_on_many(api, action).await,
        }
    }

    /// Call after call, until there are none left.
    async fn act_on_many(self, api: &Api, action: &str) -> anyhow::Result<Said> {
        let filter: Map<String, Value> = [
            ("state", self.state),
            ("kind", self.kind),
            ("queue", self.queue),
            ("tag", self.tag),
            ("created_after", self.created_after),
            ("created_before", self.created_before),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
        .collect();
        let mut body = json!({ "action": action, "filter": filter, "dry_run": self.dry_run });
        if self.dry_run {
            let json = api.post("/v1/jobs/actions", &body).await?;
            let matched = json.get("matched").and_then(Value::as_u64).unwrap_or_default();
            let more = if json["more"] == true { " and more" } else { "" };
            let sample = listed(&json!({ "jobs": json["sample"] }));
            return Ok(Said { text: format!("{sample}{matched} jobs{more}\n"), json });
        }
        let mut sums = [("done", 0), ("asked", 0), ("not_applicable", 0)];
        loop {
            let json = api.post("/v1/jobs/actions", &body).await?;
            for (name, sum) in &mut sums {
                *sum += json.get(*name).and_then(Value::as_u64).unwrap_or_default();
            }
            match &json["cursor"] {
                Value::String(cursor) => body["cursor"] = json!(cursor),
                _ => break,
            }
        }
        let [(_, done), (_, asked), (_, not_applicable)] = sums;
        let mut text = format!("{action}: {done} done");
        if asked > 0 {
            text.push_str(&format!(", {asked} asked to stop"));
        }
        if not_applicable > 0 {
            text.push_str(&format!(", {not_applicable} no longer in that state"));
        }
        Ok(Said { json: json!({ "done": done, "asked": asked, "not_applicable": not_applicable }), text })
    }
}

fn listed(page: &Value) -> String {
    let mut table = Table::new(&["id", "kind", "queue", "state", "attempt", "run at"]).right(4);
    let jobs = page.get("jobs").and_then(Value::as_array);
    for job in jobs.into_iter().flatten() {
        let attempt = job.get("attempt").and_then(Value::as_u64).unwrap_or_default().to_string();
        let cell = |key: &str| text(job, key).to_owned();
        table.row([cell("id"), cell("kind"), cell("queue"), cell("state"), attempt, cell("run_at")]);
    }
    paged(table.to_string(), page)
}

/// The rows of a page, and how the next one is asked for, where there is one.
pub fn paged(rows: String, page: &Value) -> String {
    match text(page, "cursor") {
        "" => rows,
        cursor => format!("{rows}more: --cursor {cursor}\n"),
    }
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

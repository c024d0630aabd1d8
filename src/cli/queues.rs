//! `windlass queues …`: what waits in each queue and what holds it back.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::api::{Api, segment};
use super::jobs::Said;
use super::table::Table;

/// What takes a bound away.
const NONE: &str = "none";

#[derive(Debug, Subcommand)]
pub enum Queues {
    /// Every queue with its jobs and what holds it back.
    List,
    /// Nothing more of the queue starts.
    Pause {
        queue: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// A paused queue goes on.
    Resume { queue: String },
    /// Sets what holds a queue back; what is not named stays, and `none` takes a bound away.
    Set(Set),
}

#[derive(Debug, Args)]
pub struct Set {
    queue: String,
    /// Jobs in a time, such as 20/s, 600/m or 20/s:40 with a burst of 40 (else one second's worth).
    #[arg(long)]
    rate: Option<String>,
    /// Jobs running at once, over all workers.
    #[arg(long)]
    concurrency: Option<String>,
    /// Outages in a row that close the queue, seconds of the first cooling, and of the longest: 20:2:60.
    #[arg(long)]
    breaker: Option<String>,
    /// Jobs that may wait.
    #[arg(long)]
    backlog: Option<String>,
}

impl Queues {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        let of = |queue: &str, what: &str| format!("/v1/queues/{}{what}", segment(queue));
        let json = match self {
            Self::List => {
                let json = api.get("/v1/queues", &[]).await?;
                let queues: Vec<Value> = json["queues"].as_array().cloned().unwrap_or_default();
                return Ok(Said { text: listed(&queues), json });
            }
            Self::Pause { queue, reason } => {
                let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
                api.post(&of(&queue, "/pause"), &body).await?
            }
            Self::Resume { queue } => api.post(&of(&queue, "/resume"), &json!({})).await?,
            Self::Set(set) => api.patch(&of(&set.queue, ""), &set.body()?).await?,
        };
        Ok(Said { text: listed(std::slice::from_ref(&json)), json })
    }
}

impl Set {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = Map::new();
        let mut put = |key: &str, asked: &Option<String>, read: fn(&str) -> anyhow::Result<Value>| {
            let Some(text) = asked else { return Ok(()) };
            let value = if text == NONE { Value::Null } else { read(text)? };
            body.insert(key.to_owned(), value);
            anyhow::Ok(())
        };
        put("rate", &self.rate, rate)?;
        put("concurrency_max", &self.concurrency, whole)?;
        put("breaker", &self.breaker, breaker)?;
        put("backlog_max", &self.backlog, whole)?;
        if body.is_empty() {
            bail!("say what to set: --rate, --concurrency, --breaker, --backlog");
        }
        Ok(Value::Object(body))
    }
}

fn whole(text: &str) -> anyhow::Result<Value> {
    let number: u64 = text.parse().with_context(|| format!("{text:?} is neither a number nor {NONE}"))?;
    Ok(json!(number))
}

fn rate(text: &str) -> anyhow::Result<Value> {
    let wrong = || format!("{text:?} is no rate such as 20/s, 600/m or 20/s:40");
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let (jobs, unit) = rate.split_once('/').with_context(wrong)?;
    let jobs: u32 = jobs.parse().with_context(wrong)?;
    let per_ms: u64 = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => bail!(wrong()),
    };
    let a_seconds_worth = (u64::from(jobs) * 1_000 / per_ms).max(1);
    let burst: u64 = burst.map_or(Ok(a_seconds_worth), str::parse).with_context(wrong)?;
    Ok(json!({ "jobs": jobs, "per_ms": per_ms, "burst": burst }))
}

fn breaker(text: &str) -> anyhow::Result<Value> {
    let wrong = || format!("{text:?} is no breaker such as 20:2:60");
    let parts: Vec<u64> = text.split(':').map(str::parse).collect::<Result<_, _>>().with_context(wrong)?;
    let &[failures, cool_s, cool_max_s] = parts.as_slice() else { bail!(wrong()) };
    let ms = |s: u64| s.saturating_mul(1_000);
    Ok(json!({ "failures": failures, "cool_ms": ms(cool_s), "cool_max_ms": ms(cool_max_s) }))
}

fn listed(queues: &[Value]) -> String {
    let header = ["queue", "ready", "running", "retrying", "dead", "rate", "at once", "held by"];
    let mut table = (1..5).fold(Table::new(&header), Table::right);
    for queue in queues {
        let jobs = |state: &str| queue["jobs"][state].as_u64().unwrap_or_default().to_string();
        let rules = &queue["rules"];
        let rate = &rules["rate"];
        let rate = match (rate["jobs"].as_u64(), rate["per_ms"].as_u64()) {
            (Some(jobs), Some(1_000)) => format!("{jobs}/s"),
            (Some(jobs), Some(ms)) => format!("{jobs} in {ms} ms"),
            _ => String::new(),
        };
        let at_once = rules["concurrency_max"].as_u64().map(|max| max.to_string()).unwrap_or_default();
        let held = queue["hold"]["reason"].as_str().unwrap_or_default().to_owned();
        let name = queue["queue"].as_str().unwrap_or_default().to_owned();
        table.row([
            name,
            jobs("ready"),
            jobs("running"),
            jobs("retrying"),
            jobs("dead"),
            rate,
            at_once,
            held,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_breakers_are_read_as_people_write_them() {
        assert_eq!(rate("20/s").unwrap(), json!({"jobs": 20, "per_ms": 1_000, "burst": 20}));
        assert_eq!(rate("30/m:5").unwrap(), json!({"jobs": 30, "per_ms": 60_000, "burst": 5}));
        assert_eq!(
            breaker("20:2:60").unwrap(),
            json!({"failures": 20, "cool_ms": 2_000, "cool_max_ms": 60_000})
        );
        for bad in ["20", "x/s", "20/y", "20/s:x"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert!(breaker("20:2").is_err());
    }
}

//! `windlass schedules …`: over the HTTP API, but for what needs no server: trying a cron, and reading the beat
//! entries of a Celery installation.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use windlass_engine::Timestamp;
use windlass_engine::schedule::{Rhythm, length_of};

use super::api::{Api, segment};
use super::jobs::{Said, text};
use super::local;
use super::table::Table;
use crate::config::{Config, WrongSetUp};

mod celery;
mod crontab;
mod python;

/// The zone of a shop in China, where none is said.
const ZONE: &str = "Asia/Shanghai";
/// Bytes of a file of beat entries.
const BEAT_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every schedule: when it comes next, when it last went well, whether it is held.
    List,
    /// When a schedule fires next, in its zone and in UTC; or a cron that is none yet.
    Preview {
        /// A schedule's name.
        #[arg(required_unless_present_any = ["cron", "every"])]
        schedule: Option<String>,
        /// A cron to try: six fields with seconds first, or five as crontab has them.
        #[arg(long, conflicts_with_all = ["schedule", "every"])]
        cron: Option<String>,
        /// A length to try, such as 15m.
        #[arg(long, conflicts_with = "schedule")]
        every: Option<String>,
        /// The zone of --cron.
        #[arg(long, default_value = ZONE)]
        zone: String,
        /// How many times.
        #[arg(short, long, default_value_t = 5)]
        n: usize,
    },
    /// One job now, whatever the calendar says.
    Run { schedule: String },
    /// Its instants pass without a job from now on.
    Pause {
        schedule: String,
        /// Why, for whoever finds it so.
        #[arg(long)]
        reason: Option<String>,
    },
    /// It goes on from now; nothing is made up for.
    Resume { schedule: String },
    /// The jobs of past instants that have none.
    Backfill {
        schedule: String,
        /// The first instant, RFC 3339.
        #[arg(long)]
        from: String,
        /// Instants before this one, RFC 3339.
        #[arg(long)]
        to: String,
        /// Tells which, and makes none.
        #[arg(long)]
        dry_run: bool,
    },
    /// Turns the beat entries of Celery into schedules, each with the times at which it will really fire.
    FromCelery {
        /// A Python file with a beat_schedule, or JSON: that dictionary, or `manage.py dumpdata django_celery_beat`.
        file: PathBuf,
        /// The zone of entries that name none [default: the file's own timezone, or Asia/Shanghai].
        #[arg(long)]
        zone: Option<String>,
    },
}

impl Command {
    /// # Errors
    /// When it was refused, or what it was given cannot be read.
    pub async fn run(self, config: Config) -> anyhow::Result<Said> {
        let now = config.clock().now();
        match self {
            Self::Preview { cron: Some(cron), zone, n, .. } => tried(&crontab::rhythm(&cron, &zone)?, now, n),
            Self::Preview { every: Some(every), n, .. } => {
                let length = length_of(&every).map_err(|e| WrongSetUp(e.to_string()))?;
                tried(&Rhythm::every(length).map_err(|e| WrongSetUp(e.to_string()))?, now, n)
            }
            Self::FromCelery { file, zone } => converted(&file, zone.as_deref(), now),
            online => online.ask(local::reach(config).await?.api()).await,
        }
    }

    async fn ask(self, api: &Api) -> anyhow::Result<Said> {
        let at = |schedule: &str, rest: &str| format!("/v1/schedules/{}{rest}", segment(schedule));
        match self {
            Self::List => {
                let json = api.get("/v1/schedules", &[]).await?;
                Ok(Said { text: listed(&json), json })
            }
            Self::Preview { schedule, n, .. } => {
                let path = at(&schedule.unwrap_or_default(), "/preview");
                let json = api.get(&path, &[("n", &n.to_string())]).await?;
                let times = json.get("times").and_then(Value::as_array);
                let times = times.into_iter().flatten().map(|time| (text(time, "local"), text(time, "utc")));
                let zone = text(&json, "zone").to_owned();
                Ok(Said { text: previewed(&zone, times), json })
            }
            Self::Run { schedule } => {
                let json = api.post(&at(&schedule, "/run"), &json!({})).await?;
                let word = if json["new"] == true { "handed in" } else { "runs already" };
                Ok(Said { text: format!("{} {word}", text(&json, "job")), json })
            }
            Self::Pause { schedule, reason } => {
                let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
                let json = api.post(&at(&schedule, "/pause"), &body).await?;
                Ok(Said { text: format!("{schedule} is paused"), json })
            }
            Self::Resume { schedule } => {
                let json = api.post(&at(&schedule, "/resume"), &json!({})).await?;
                Ok(Said { text: format!("{schedule} goes on; next {}", text(&json, "next_at")), json })
            }
            Self::Backfill { schedule, from, to, dry_run } => {
                let body = json!({ "from": from, "to": to, "dry_run": dry_run });
                let json = api.post(&at(&schedule, "/backfill"), &body).await?;
                Ok(Said { text: backfilled(&json), json })
            }
            Self::FromCelery { .. } => bail!("reading beat entries asks no server"),
        }
    }
}

fn listed(json: &Value) -> String {
    let mut table = Table::new(&["schedule", "when", "job", "next", "last success", "state"]);
    for schedule in json.get("schedules").and_then(Value::as_array).into_iter().flatten() {
        let when = match text(schedule, "cron") {
            "" => format!("every {}", text(schedule, "every")),
            cron => format!("{cron} {}", text(schedule, "timezone")),
        };
        let state = if schedule["paused"].is_object() {
            "paused".to_owned()
        } else if schedule["enabled"] == false {
            "disabled".to_owned()
        } else {
            match schedule["lag_seconds"].as_f64().unwrap_or_default() {
                late if late >= 1.0 => format!("{late:.0} s late"),
                _ => String::new(),
            }
        };
        let success = text(&schedule["last_success"], "finished_at").to_owned();
        let cell = |key: &str| text(schedule, key).to_owned();
        table.row([cell("schedule"), when, cell("job"), cell("next_at"), success, state]);
    }
    table.to_string()
}

fn backfilled(json: &Value) -> String {
    let mut table = Table::new(&["instant", "job", "state"]);
    for job in json.get("jobs").and_then(Value::as_array).into_iter().flatten() {
        let state = match (text(job, "state"), text(job, "outcome")) {
            ("", "") => "missing",
            ("", outcome) => outcome,
            (state, _) => state,
        };
        table.row([text(job, "instant").to_owned(), text(job, "job").to_owned(), state.to_owned()]);
    }
    let number = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (missing, made) = (number("missing"), number("made"));
    if json["dry_run"] == true {
        format!("{table}{missing} jobs would be made\n")
    } else {
        format!("{table}{made} jobs made\n")
    }
}

/// The next `n` instants of a rhythm that is no schedule yet.
fn tried(rhythm: &Rhythm, now: Timestamp, n: usize) -> anyhow::Result<Said> {
    let times = next_times(rhythm, now, n.min(crate::front_door::schedules::PREVIEW_MAX));
    let told = |at: &Timestamp| (rhythm.local(*at), at.to_rfc3339());
    let told: Vec<_> = times.iter().map(told).collect();
    let zone = rhythm.zone().unwrap_or("UTC");
    let pairs = told.iter().map(|(local, utc)| (local.as_str(), utc.as_str()));
    let text = format!("{}\n{}", source_of(rhythm), previewed(zone, pairs));
    let times: Vec<_> = told.iter().map(|(local, utc)| json!({ "local": local, "utc": utc })).collect();
    Ok(Said { json: json!({ "zone": zone, "toml": source_of(rhythm), "times": times }), text })
}

fn next_times(rhythm: &Rhythm, now: Timestamp, n: usize) -> Vec<Timestamp> {
    std::iter::successors(rhythm.next_after(now), |at| rhythm.next_after(*at)).take(n).collect()
}

/// As it stands in a file of schedules.
fn source_of(rhythm: &Rhythm) -> String {
    match rhythm.zone() {
        Some(zone) => format!("cron = \"{}\"\ntimezone = \"{zone}\"", rhythm.source()),
        None => format!("every = \"{}\"", rhythm.source()),
    }
}

fn previewed<'a>(zone: &str, times: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut table = Table::new(&[zone, "UTC"]);
    for (local, utc) in times {
        table.row([local.to_owned(), utc.to_owned()]);
    }
    table.to_string()
}

fn converted(file: &Path, zone: Option<&str>, now: Timestamp) -> anyhow::Result<Said> {
    let shown = file.display();
    let bytes = std::fs::metadata(file).with_context(|| format!("{shown} cannot be read"))?.len();
    if bytes > BEAT_BYTES_MAX {
        bail!("{shown} has {bytes} bytes: at most {BEAT_BYTES_MAX}");
    }
    let source = std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
    let read = celery::read(&source, zone).map_err(|why| WrongSetUp(format!("{shown}: {why}")))?;
    let text = read.toml(now);
    let json = json!({
        "entries": read.entries.len(), "refused": read.refused(), "notes": read.notes, "toml": text,
    });
    Ok(Said { json, text })
}

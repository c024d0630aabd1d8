//! `/v1/schedules`: what comes by itself and when, and what an operator does to it.
//!
//! The files are read once, when the process starts; what changes while it runs (a pause, the place up to which
//! instants were handed over) is the carrier's. Handing over in time is the scheduler's, not the door's.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_engine::schedule::{self, Entry, Schedules, paused_since, written};
use windlass_engine::store::Enqueued;
use windlass_engine::trace::enqueueing;
use windlass_engine::{AcceptedBy, JobId, NewJob, State, Timestamp};
use windlass_jobs::ledger::last_act;
use windlass_jobs::outbox::Put;

use super::body::{Fields, Named, Params, read, read_json};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};
use super::queues::{PAUSE_BODY_BYTES_MAX, asked_pause};
use super::{Door, FrontDoor};

/// Instants of one preview.
pub const PREVIEW_MAX: usize = 100;
/// Instants of one backfill.
pub const BACKFILL_MAX: usize = 1_000;
/// Instants whose jobs are looked for, to tell when a schedule last did well.
const LOOK_BACK_MAX: usize = 50;
/// How far that look goes back.
const LOOK_BACK: Duration = Duration::from_secs(2 * 366 * 86_400);
const BODY_BYTES_MAX: usize = 16 * 1024;

/// `GET /v1/schedules`
pub async fn list(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    let mut told = Vec::new();
    for entry in known(&door)?.iter() {
        told.push(told_of(&door, entry).await?);
    }
    Ok(Json(json!({ "schedules": told })))
}

/// `GET /v1/schedules/{key}`
pub async fn show(Given(door): Given<Door>, Named(key): Named) -> Result<Json<Value>, Problem> {
    Ok(Json(told_of(&door, &find(&door, &key)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HowMany {
    n: Option<usize>,
}

/// `GET /v1/schedules/{key}/preview`: when it fires next, on the clock of its zone and in UTC.
pub async fn preview(
    Given(door): Given<Door>,
    Named(key): Named,
    Params(HowMany { n }): Params<HowMany>,
) -> Result<Json<Value>, Problem> {
    let entry = find(&door, &key)?;
    let n = n.unwrap_or(5);
    if !(1..=PREVIEW_MAX).contains(&n) {
        let fault = Fault::of("n", format!("must be between 1 and {PREVIEW_MAX}"));
        return Err(Problem::new(Kind::Invalid, "So many instants are not told.").faults(vec![fault]));
    }
    let mut times = Vec::with_capacity(n);
    let mut at = door.clock.now();
    while times.len() < n
        && let Some(next) = entry.next_after(at)
    {
        times.push(json!({ "utc": next.to_rfc3339(), "local": entry.rhythm.local(next) }));
        at = next;
    }
    Ok(Json(json!({ "schedule": entry.name, "zone": entry.rhythm.zone().unwrap_or("UTC"), "times": times })))
}

/// `POST /v1/schedules/{key}/run`: one job now, whatever the calendar, a pause or an earlier job says.
pub async fn run(Given(door): Given<Door>, caller: Caller, Named(key): Named) -> Result<Response, Problem> {
    let entry = find(&door, &key)?;
    let now = door.clock.now();
    let mut job = NewJob { id: JobId::new(now), run_at: None, ..entry.job(now) };
    job.envelope.enqueued_by = Some(format!("schedule:{} by {}", entry.name, caller.who()));
    let id = job.id.clone();
    let accepted = accept(&door, vec![job]).await?.pop();
    let (status, id, is_new) = match accepted {
        Some(Accepted::Duplicate(of)) => (StatusCode::OK, of, false),
        _ => (StatusCode::ACCEPTED, id, true),
    };
    door.record(&caller, "schedule.run", &entry.name, id.as_str()).await;
    Ok((status, Json(json!({ "schedule": entry.name, "job": id, "new": is_new }))).into_response())
}

/// `POST /v1/schedules/{key}/pause` with `{reason?, by?}` or nothing: its instants pass without a job, whichever
/// scheduler looks.
pub async fn pause(
    Given(door): Given<Door>,
    caller: Caller,
    Named(key): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let entry = find(&door, &key)?;
    let text = read(body, PAUSE_BODY_BYTES_MAX).await?;
    let asked = asked_pause(&door, &caller, &headers, &text)?;
    if schedule::pause(door.store.as_ref(), &entry.name, asked.at).await? {
        let detail = format!("by {}: {}", asked.by, asked.reason);
        door.record(&caller, "schedule.pause", &entry.name, &detail).await;
    }
    Ok(Json(told_of(&door, &entry).await?))
}

/// `POST /v1/schedules/{key}/resume`: it goes on from now; nothing is made up for.
pub async fn resume(
    Given(door): Given<Door>,
    caller: Caller,
    Named(key): Named,
) -> Result<Json<Value>, Problem> {
    let entry = find(&door, &key)?;
    if schedule::resume(door.store.as_ref(), &entry, door.clock.now()).await? {
        door.record(&caller, "schedule.resume", &entry.name, "").await;
    }
    Ok(Json(told_of(&door, &entry).await?))
}

/// `POST /v1/schedules/{key}/backfill` with `{from, to, dry_run?}`: the jobs of past instants from `from` on and before
/// `to`, each under the id that its instant always has. Without `"dry_run": false` it only tells which.
pub async fn backfill(
    Given(door): Given<Door>,
    caller: Caller,
    Named(key): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let entry = find(&door, &key)?;
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let Span { from, to, dry_run } = asked_span(&door, &text)?;
    let just_before = |at: Timestamp| at - Duration::from_micros(1);
    let instants = entry.between(just_before(from), just_before(to), BACKFILL_MAX + 1);
    if instants.len() > BACKFILL_MAX {
        let last = instants[BACKFILL_MAX].to_rfc3339();
        let detail =
            format!("There are more than {BACKFILL_MAX} instants: ask up to {last}, and from there on next.");
        return Err(Problem::new(Kind::Invalid, detail));
    }
    let ids: Vec<JobId> = instants.iter().map(|at| entry.job_id(*at)).collect();
    let known = door.store.states(ids.clone()).await?;
    let mut jobs: Vec<Value> = Vec::with_capacity(ids.len());
    let (mut made, mut wanted) = (0, Vec::new());
    for ((at, id), state) in instants.iter().zip(&ids).zip(&known) {
        let told = json!({ "instant": at.to_rfc3339(), "job": id, "state": state.map(State::as_str) });
        if state.is_none() {
            wanted.push((jobs.len(), entry.job(*at)));
        }
        jobs.push(told);
    }
    let would = wanted.len();
    if !dry_run {
        let (places, new): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
        for (place, accepted) in places.into_iter().zip(accept(&door, new).await?) {
            let outcome = match &accepted {
                Accepted::New => "new",
                Accepted::Exists => "exists",
                Accepted::Duplicate(_) => "duplicate",
            };
            made += usize::from(accepted == Accepted::New);
            jobs[place]["outcome"] = json!(outcome);
        }
        let detail = format!("{} to {}: {made} jobs", from.to_rfc3339(), to.to_rfc3339());
        door.record(&caller, "schedule.backfill", &entry.name, &detail).await;
    }
    Ok(Json(json!({
        "schedule": entry.name, "dry_run": dry_run, "instants": jobs.len(), "missing": would, "made": made,
        "jobs": jobs,
    })))
}

struct Span {
    from: Timestamp,
    to: Timestamp,
    dry_run: bool,
}

fn asked_span(door: &FrontDoor, text: &[u8]) -> Result<Span, Problem> {
    let mut faults = Vec::new();
    let mut fields = Fields::parse(text)?;
    let from = instant(&mut fields, "from", &mut faults);
    let to = instant(&mut fields, "to", &mut faults);
    let dry_run = fields.take("dry_run", &mut faults).unwrap_or(true);
    fields.end(&["from", "to", "dry_run"], &mut faults);
    let now = door.clock.now();
    match (from, to) {
        (Some(from), Some(to)) if faults.is_empty() => {
            if from >= to {
                faults.push(Fault::at("/to", "must be after `from`"));
            } else if to > now {
                faults.push(Fault::at("/to", format!("must not be after now, which is {now}")));
            } else {
                return Ok(Span { from, to, dry_run });
            }
        }
        _ if faults.is_empty() => faults.push(Fault::at("", "`from` and `to` must be there")),
        _ => {}
    }
    Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults))
}

/// A field that is an instant in RFC 3339.
pub(super) fn instant(fields: &mut Fields<'_>, name: &str, faults: &mut Vec<Fault>) -> Option<Timestamp> {
    let text: String = fields.take(name, faults)?;
    Timestamp::parse_rfc3339(&text)
        .map_err(|_| {
            let message = "must be an instant such as 2026-11-22T08:00:00+08:00";
            faults.push(Fault::at(format!("/{name}"), message));
        })
        .ok()
}

#[derive(PartialEq, Eq)]
enum Accepted {
    New,
    Exists,
    Duplicate(JobId),
}

/// Hands in jobs of one schedule: to the ledger or to the carrier, as their kind says.
async fn accept(door: &FrontDoor, mut jobs: Vec<NewJob>) -> Result<Vec<Accepted>, Problem> {
    // Until the end of this.
    let _traced = enqueueing(&mut jobs);
    let Some(first) = jobs.first() else { return Ok(Vec::new()) };
    let kind = door.kinds.get(&first.envelope.kind);
    if kind.is_some_and(|kind| kind.accepted_by == AcceptedBy::Ledger) {
        let puts = door.ledger.accept(jobs).await?;
        return Ok(puts
            .into_iter()
            .map(|put| match put {
                Put::New => Accepted::New,
                Put::Exists { .. } => Accepted::Exists,
                Put::Duplicate { of } => Accepted::Duplicate(of),
            })
            .collect());
    }
    let enqueued = door.store.enqueue(jobs).await?;
    enqueued
        .into_iter()
        .map(|enqueued| match enqueued {
            Enqueued::New => Ok(Accepted::New),
            Enqueued::Exists { .. } => Ok(Accepted::Exists),
            Enqueued::Duplicate { of } => Ok(Accepted::Duplicate(of)),
            Enqueued::Full => Err(Problem::new(Kind::Full, "The backlog of the schedule's queue is full.")),
        })
        .collect()
}

fn known(door: &FrontDoor) -> Result<Arc<Schedules>, Problem> {
    door.schedules.clone().map_err(|why| {
        let detail = "Its folder of schedules cannot be read; `windlass check` says what is wrong.";
        Problem::new(Kind::SchedulesUnknown, detail).inside(anyhow::anyhow!(why))
    })
}

fn find(door: &FrontDoor, key: &str) -> Result<Entry, Problem> {
    known(door)?.get(key).cloned().ok_or_else(|| {
        let shown: String = key.chars().take(100).collect();
        let detail = format!("No schedule is called {shown:?}; GET /v1/schedules lists them.");
        Problem::new(Kind::NoSuchSchedule, detail)
    })
}

async fn told_of(door: &FrontDoor, entry: &Entry) -> Result<Value, Problem> {
    let now = door.clock.now();
    let cursor = door.store.cursor(&entry.name).await?;
    let due = cursor.and_then(|cursor| entry.next_after(cursor));
    let paused = match paused_since(door.store.as_ref(), &entry.name).await? {
        Some(since) => {
            let act = last_act(&door.ledger, "schedule.pause", &entry.name).await?;
            let why = act.as_ref().map(|act| act.detail.as_str());
            Some(json!({ "since": since.to_rfc3339(), "why": why }))
        }
        None => None,
    };
    let fires = entry.enabled && paused.is_none();
    let lag = due.filter(|due| fires && *due < now).map_or(0.0, |due| now.since(due).as_secs_f64());
    let (last, last_success) = last_jobs(door, entry, now).await?;
    let every_or_cron = if entry.rhythm.zone().is_some() { "cron" } else { "every" };
    let mut told = json!({
        "schedule": entry.name, "description": entry.description, "timezone": entry.rhythm.zone(),
        "job": entry.job, "queue": entry.queue, "priority": entry.priority, "payload": entry.payload,
        "overlap": entry.overlap, "catch_up": entry.catch_up,
        "jitter": written(entry.jitter), "expires": entry.expires.map(written),
        "enabled": entry.enabled, "paused": paused,
        "next_at": fires.then(|| entry.next_after(now)).flatten().map(Timestamp::to_rfc3339),
        "handed_over_to": cursor.map(Timestamp::to_rfc3339), "lag_seconds": lag,
        "last": last, "last_success": last_success,
    });
    told[every_or_cron] = json!(entry.rhythm.source());
    Ok(told)
}

/// The newest job that is known, and the newest that went well; a job that its queue has forgotten is not known.
async fn last_jobs(
    door: &FrontDoor,
    entry: &Entry,
    now: Timestamp,
) -> Result<(Option<Value>, Option<Value>), Problem> {
    let mut instants = entry.newest(now - LOOK_BACK, now, LOOK_BACK_MAX);
    instants.reverse();
    let ids: Vec<JobId> = instants.iter().map(|at| entry.job_id(*at)).collect();
    if ids.is_empty() {
        return Ok((None, None));
    }
    let states = door.store.states(ids.clone()).await?;
    let mut jobs = instants.iter().zip(&ids).zip(&states).filter_map(|(job, state)| Some((job, (*state)?)));
    let told = |((at, id), state): ((&Timestamp, &JobId), State)| json!({ "instant": at.to_rfc3339(), "job": id, "state": state.as_str() });
    let last = jobs.clone().next().map(told);
    let mut success = None;
    if let Some(((at, id), state)) = jobs.find(|(_, state)| *state == State::Completed) {
        let finished_at = door.store.get(id).await?.and_then(|view| view.finished_at);
        let mut job = told(((at, id), state));
        job["finished_at"] = json!(finished_at.map(Timestamp::to_rfc3339));
        success = Some(job);
    }
    Ok((last, success))
}

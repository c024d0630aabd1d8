//! `POST /v1/jobs/actions`: one thing done to every job that a filter finds, a bounded slice a call.
//!
//! Without `"dry_run": false` it only tells how many there are, with a few of them. The jobs are those of the queues:
//! one that only the ledger still knows (dead, and forgotten by its queue) is retried by its own address.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use windlass_engine::store::{Acted, Action, Filter, JobView, LIST_ROWS_MAX};
use windlass_engine::{AcceptedBy, JobId, State, Timestamp};

use super::body::{Fields, read_json};
use super::caller::Caller;
use super::jobs::{action_name, anew, view};
use super::problem::{Fault, Kind, Problem};
use super::schedules::instant;
use super::{Door, FrontDoor};

/// Jobs that one call acts upon.
pub const ACTED_ON_MAX: u32 = 500;
/// Jobs that a dry run counts; beyond it there are `more`.
pub const COUNTED_MAX: usize = 10_000;
/// Pages of the list that one call looks at: with a filter that finds little each holds few.
const PAGES_MAX: usize = 20;
/// Jobs shown by a dry run.
const SAMPLE: usize = 10;
const BODY_BYTES_MAX: usize = 16 * 1024;
const FIELDS: [&str; 5] = ["action", "filter", "dry_run", "limit", "cursor"];
const FILTER_FIELDS: [&str; 6] = ["state", "kind", "queue", "tag", "created_after", "created_before"];

struct Asked {
    action: Action,
    filter: Filter,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    dry_run: bool,
    limit: u32,
}

/// `{"action": "retry", "filter": {"state": "dead", "kind": …, "queue": …, "tag": …, "created_after": …,
/// "created_before": …}, "dry_run": true, "limit": 500, "cursor": …}`
pub async fn act(
    Given(door): Given<Door>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let asked = asked(&text)?;
    if asked.dry_run { count(&door, asked).await } else { work(&door, &caller, asked).await }
}

async fn count(door: &FrontDoor, asked: Asked) -> Result<Json<Value>, Problem> {
    let (mut matched, mut sample) = (0, Vec::new());
    let mut filter = Filter { limit: LIST_ROWS_MAX, ..asked.filter.clone() };
    let mut more = true;
    for _ in 0..PAGES_MAX {
        let page = door.store.list(filter.clone()).await?;
        for job in page.jobs.iter().filter(|job| asked.takes(job)) {
            matched += 1;
            if sample.len() < SAMPLE {
                sample.push(view::row(door, job));
            }
        }
        filter.cursor = page.cursor;
        if filter.cursor.is_none() || matched >= COUNTED_MAX {
            more = filter.cursor.is_some();
            break;
        }
    }
    Ok(Json(json!({
        "dry_run": true, "action": asked.action, "matched": matched, "more": more, "sample": sample,
    })))
}

async fn work(door: &FrontDoor, caller: &Caller, asked: Asked) -> Result<Json<Value>, Problem> {
    let mut filter = asked.filter.clone();
    let (mut jobs, mut left) = (Vec::new(), asked.limit as usize);
    for _ in 0..PAGES_MAX {
        filter.limit = u32::try_from(left).unwrap_or(asked.limit);
        let page = door.store.list(filter.clone()).await?;
        let found: Vec<JobView> = page.jobs.into_iter().filter(|job| asked.takes(job)).collect();
        left -= found.len();
        jobs.extend(found);
        filter.cursor = page.cursor;
        if filter.cursor.is_none() || left == 0 {
            break;
        }
    }
    let (mut done, mut asked_to_stop, mut not_applicable) = (0u32, 0u32, 0u32);
    for acted in apply(door, asked.action, jobs).await? {
        match acted {
            Acted::Done => done += 1,
            Acted::Asked => asked_to_stop += 1,
            // Somebody else was faster.
            Acted::NotIn(_) | Acted::Missing => not_applicable += 1,
        }
    }
    let told = json!({
        "dry_run": false, "action": asked.action, "done": done, "asked": asked_to_stop,
        "not_applicable": not_applicable, "cursor": filter.cursor,
    });
    if done + asked_to_stop > 0 {
        let detail = format!("{done} done, {asked_to_stop} asked to stop: {}", asked.words());
        door.record(caller, &format!("{}.many", action_name(asked.action)), "", &detail).await;
    }
    Ok(Json(told))
}

/// Acts in the carrier and keeps the ledger in step, as the addresses of single jobs do.
async fn apply(door: &FrontDoor, action: Action, jobs: Vec<JobView>) -> Result<Vec<Acted>, Problem> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let in_ledger = |job: &JobView| {
        let kind = door.kinds.get(&job.envelope.kind);
        kind.is_some_and(|kind| kind.accepted_by == AcceptedBy::Ledger)
    };
    if action == Action::Retry {
        // First, or the relay would find the job still dead and bury its row again.
        for job in jobs.iter().filter(|job| in_ledger(job)) {
            door.ledger.revive(&job.id).await?;
        }
    }
    let acted = door.store.act(action, ids.clone()).await?;
    let done = |acted: &Acted| *acted == Acted::Done;
    match action {
        Action::Retry => {
            let mut put_again = Vec::new();
            for (job, acted) in jobs.into_iter().zip(&acted) {
                if done(acted) && in_ledger(&job) && door.ledger.outbox_job(&job.id).await?.is_none() {
                    put_again.push(anew(job));
                }
            }
            door.ledger.accept(put_again).await?;
        }
        // Were the rows left, the relay would take the jobs for lost and hand them over again.
        Action::Delete => {
            let gone = jobs.iter().zip(&acted).filter(|(job, acted)| done(acted) && job.envelope.in_outbox);
            door.ledger.finished(gone.map(|(job, _)| job.id.clone()).collect()).await?;
        }
        Action::Cancel | Action::Promote => {}
    }
    Ok(acted)
}

impl Asked {
    fn takes(&self, job: &JobView) -> bool {
        self.created_after.is_none_or(|at| job.created_at >= at)
            && self.created_before.is_none_or(|at| job.created_at < at)
    }

    /// The filter, for the audit log.
    fn words(&self) -> String {
        let Filter { state, kind, queue, tag, .. } = &self.filter;
        let parts = [
            ("state", state.map(|state| state.as_str().to_owned())),
            ("kind", kind.clone()),
            ("queue", queue.clone()),
            ("tag", tag.clone()),
            ("created_after", self.created_after.map(Timestamp::to_rfc3339)),
            ("created_before", self.created_before.map(Timestamp::to_rfc3339)),
        ];
        let said = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        said.collect::<Vec<_>>().join(" ")
    }
}

fn asked(text: &[u8]) -> Result<Asked, Problem> {
    let mut faults = Vec::new();
    let mut fields = Fields::parse(text)?;
    let action: Option<Action> = fields.take("action", &mut faults);
    let dry_run = fields.take("dry_run", &mut faults).unwrap_or(true);
    let limit = fields.take("limit", &mut faults).unwrap_or(ACTED_ON_MAX);
    let cursor: Option<String> = fields.take("cursor", &mut faults);
    let raw_filter = fields.raw("filter");
    fields.end(&FIELDS, &mut faults);
    if !(1..=ACTED_ON_MAX).contains(&limit) {
        faults.push(Fault::at("/limit", format!("must be between 1 and {ACTED_ON_MAX}")));
    }
    let mut inner_faults = Vec::new();
    let mut inner = Fields::parse(raw_filter.map_or("{}", |raw| raw.get()).as_bytes())?;
    let state: Option<State> = inner.take("state", &mut inner_faults);
    let kind = inner.take("kind", &mut inner_faults);
    let queue = inner.take("queue", &mut inner_faults);
    let tag = inner.take("tag", &mut inner_faults);
    let created_after = instant(&mut inner, "created_after", &mut inner_faults);
    let created_before = instant(&mut inner, "created_before", &mut inner_faults);
    inner.end(&FILTER_FIELDS, &mut inner_faults);
    faults.extend(
        inner_faults.into_iter().map(|fault| Fault {
            pointer: fault.pointer.map(|pointer| format!("/filter{pointer}")),
            ..fault
        }),
    );
    let known = faults.is_empty();
    match (action, state) {
        (None, _) if known => faults.push(Fault::at("/action", "must be retry, cancel, promote or delete")),
        (Some(action), None) if known => {
            let message = format!("must say which: {}", states_of(action));
            faults.push(Fault::at("/filter/state", message));
        }
        (Some(action), Some(state)) if !fits(action, state) => {
            let message = format!("must be {} for this action", states_of(action));
            faults.push(Fault::at("/filter/state", message));
        }
        (Some(action), Some(_)) if known => {
            let filter = Filter { state, kind, queue, tag, limit, cursor };
            return Ok(Asked { action, filter, created_after, created_before, dry_run, limit });
        }
        _ => {}
    }
    Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults))
}

/// Whether a job in this state may be acted on so.
fn fits(action: Action, state: State) -> bool {
    match action {
        Action::Retry => matches!(state, State::Dead | State::Cancelled),
        Action::Cancel => !state.is_terminal(),
        Action::Promote => matches!(state, State::Scheduled | State::Retrying),
        Action::Delete => state.is_terminal(),
    }
}

fn states_of(action: Action) -> String {
    let states: Vec<_> =
        State::ALL.into_iter().filter(|state| fits(action, *state)).map(State::as_str).collect();
    states.join(" or ")
}

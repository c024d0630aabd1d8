//! `/v1/jobs`: looking at jobs, and doing one thing to one of them.
//!
//! How a job looks as JSON is in [`view`], why it does not run in [`why`]. Accepting jobs is elsewhere.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State as Given};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_engine::store::{Acted, Action, Filter, JobView, LIST_ROWS_MAX};
use windlass_engine::{AcceptedBy, JobId, NewJob, State, Unique};

use super::body::{Named, Params};
use super::caller::Caller;
use super::found::{Found, find, must_find, no_such_job};
use super::problem::{Fault, Kind, Problem};
use super::{Door, FrontDoor};

pub mod view;
pub mod why;

/// How long a request may wait for a job's end.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Rows on a page of the list when the caller does not say.
const LIST_ROWS: u32 = 50;
/// The first and the longest pause between two looks at a job that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_EVERY_MAX: Duration = Duration::from_millis(500);

/// The job id in a path.
pub struct Id(pub JobId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Named(text) = Named::from_request_parts(parts, state).await?;
        JobId::parse(text).map(Self).map_err(|e| Problem::new(Kind::NoSuchJob, format!("{e}.")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Seconds to wait for the job's end.
    wait: Option<f64>,
}

/// `GET /v1/jobs/{id}`: the job, at its end when `?wait=` is given and it ends in time.
pub async fn show(
    Given(door): Given<Door>,
    Id(id): Id,
    Params(Wait { wait }): Params<Wait>,
) -> Result<Json<Value>, Problem> {
    let wait = match wait {
        None => Duration::ZERO,
        Some(wait_s) if (0.0..=WAIT_MAX.as_secs_f64()).contains(&wait_s) => Duration::from_secs_f64(wait_s),
        Some(_) => {
            let fault = Fault::of("wait", format!("must be between 0 and {} seconds", WAIT_MAX.as_secs()));
            return Err(
                Problem::new(Kind::Invalid, "So long is no request kept waiting.").faults(vec![fault])
            );
        }
    };
    if !wait.is_zero() {
        // Whether it ended or the time did: the job is told as it stands then.
        let _ = tokio::time::timeout(wait, ended(&door, &id)).await;
    }
    let found = must_find(&door, &id).await?;
    Ok(Json(view::told(&door, &found)))
}

/// Returns when the job is over, is not there, cannot be asked for, or the door closes.
async fn ended(door: &FrontDoor, id: &JobId) {
    let mut pause = LOOK_EVERY;
    loop {
        if is_over(door, id).await {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 3 / 2).min(LOOK_EVERY_MAX),
            () = door.closing.cancelled() => return,
        }
    }
}

/// Also true of a job that nobody knows or can ask for. Reads no payload: this is asked often.
async fn is_over(door: &FrontDoor, id: &JobId) -> bool {
    match door.store.states(vec![id.clone()]).await.map(|states| states.into_iter().next().flatten()) {
        Ok(Some(state)) => state.is_terminal(),
        Ok(None) => find(door, id).await.ok().flatten().is_none_or(|found| found.state().is_terminal()),
        Err(_) => true,
    }
}

/// `GET /v1/jobs/{id}/why`
pub async fn explain(Given(door): Given<Door>, Id(id): Id) -> Result<Json<Value>, Problem> {
    let found = must_find(&door, &id).await?;
    Ok(Json(why::told(&door, &found).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    state: Option<String>,
    kind: Option<String>,
    queue: Option<String>,
    tag: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/jobs`: the newest first, without payloads, results and logs.
pub async fn list(Given(door): Given<Door>, Params(which): Params<Which>) -> Result<Json<Value>, Problem> {
    let page = door.store.list(which.filter()?).await?;
    let rows: Vec<_> = page.jobs.iter().map(|job| view::row(&door, job)).collect();
    Ok(Json(json!({ "jobs": rows, "cursor": page.cursor })))
}

impl Which {
    fn filter(self) -> Result<Filter, Problem> {
        let mut faults = Vec::new();
        let state = self.state.and_then(|name| {
            let state = State::ALL.into_iter().find(|state| state.as_str() == name);
            if state.is_none() {
                let names: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
                faults.push(Fault::of("state", format!("must be one of {}", names.join(", "))));
            }
            state
        });
        let limit = self.limit.unwrap_or(LIST_ROWS);
        if !(1..=LIST_ROWS_MAX).contains(&limit) {
            faults.push(Fault::of("limit", format!("must be between 1 and {LIST_ROWS_MAX}")));
        }
        if !faults.is_empty() {
            return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
        }
        let Self { kind, queue, tag, cursor, .. } = self;
        Ok(Filter { state, kind, queue, tag, limit, cursor })
    }
}

/// `POST /v1/jobs/{id}/cancel`: 202 when a running job was asked to stop and will say so itself.
pub async fn cancel(Given(door): Given<Door>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    act(&door, &caller, Action::Cancel, id).await
}

/// `POST /v1/jobs/{id}/retry`: the job is wanted again, by the ledger too when that accepted it.
pub async fn retry(Given(door): Given<Door>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    let before = must_find(&door, &id).await?;
    if door.kinds.get(&before.envelope().kind).is_none_or(|kind| kind.accepted_by == AcceptedBy::Carrier) {
        return act(&door, &caller, Action::Retry, id).await;
    }
    let revived = door.ledger.revive(&id).await?;
    match before {
        // The queue has forgotten it: the relay hands it over anew.
        Found::Ledger(_) if revived => {
            door.record(&caller, action_name(Action::Retry), id.as_str(), "").await;
            Ok(Json(view::told(&door, &must_find(&door, &id).await?)).into_response())
        }
        Found::Ledger(_) => act(&door, &caller, Action::Retry, id).await,
        Found::Carrier(job) => {
            let answer = act(&door, &caller, Action::Retry, id.clone()).await?;
            // The row of a cancelled job went when it ended. It is put again after the act: the relay takes the
            // row of a job that is over for a leftover.
            if door.ledger.outbox_job(&id).await?.is_none() {
                door.ledger.accept(vec![anew(*job)]).await?;
            }
            Ok(answer)
        }
    }
}

/// The job as it was handed in.
pub(super) fn anew(job: JobView) -> NewJob {
    NewJob {
        id: job.id,
        queue: job.queue,
        priority: job.priority,
        run_at: None,
        unique: job.unique_key.map(|key| Unique { key, window: None }),
        deadline_at: job.deadline_at,
        envelope: job.envelope,
    }
}

/// `POST /v1/jobs/{id}/promote`
pub async fn promote(Given(door): Given<Door>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    act(&door, &caller, Action::Promote, id).await
}

/// `DELETE /v1/jobs/{id}`: the ledger forgets the job too. Were its row left, the relay would take the job for one
/// that the carrier lost and hand it over again.
pub async fn delete(Given(door): Given<Door>, caller: Caller, Id(id): Id) -> Result<Response, Problem> {
    let in_outbox = find(&door, &id).await?.is_some_and(|found| found.envelope().in_outbox);
    let answer = act(&door, &caller, Action::Delete, id.clone()).await?;
    if in_outbox {
        door.ledger.finished(vec![id]).await?;
    }
    Ok(answer)
}

async fn act(door: &FrontDoor, caller: &Caller, action: Action, id: JobId) -> Result<Response, Problem> {
    let acted = door.store.act(action, vec![id.clone()]).await?.pop();
    match acted {
        Some(Acted::Done) => {
            door.record(caller, action_name(action), id.as_str(), "").await;
            if action == Action::Delete {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            let found = must_find(door, &id).await?;
            Ok(Json(view::told(door, &found)).into_response())
        }
        Some(Acted::Asked) => {
            door.record(caller, action_name(action), id.as_str(), "asked to stop").await;
            let found = must_find(door, &id).await?;
            Ok((StatusCode::ACCEPTED, Json(view::told(door, &found))).into_response())
        }
        Some(Acted::NotIn(state)) => Err(Problem::new(
            Kind::NotApplicable,
            format!("The job is {}; {}.", state.as_str(), applies_to(action)),
        )),
        Some(Acted::Missing) => Err(match find(door, &id).await? {
            Some(found) if found.state().is_terminal() => Problem::new(
                Kind::NotApplicable,
                "The job is dead, and its queue has forgotten it: it can only be retried.",
            ),
            Some(_) => Problem::new(
                Kind::NotHandedOver,
                "The ledger has the job and its queue does not yet: try again in a moment.",
            ),
            None => no_such_job(&id),
        }),
        None => Err(Problem::internal(anyhow::anyhow!("an action on one job had no answer"))),
    }
}

/// As the audit log calls it.
pub(super) fn action_name(action: Action) -> &'static str {
    match action {
        Action::Cancel => "job.cancel",
        Action::Retry => "job.retry",
        Action::Promote => "job.promote",
        Action::Delete => "job.delete",
    }
}

fn applies_to(action: Action) -> &'static str {
    match action {
        Action::Cancel => "only one that is not over can be cancelled",
        Action::Retry => "only a dead or cancelled one can be retried",
        Action::Promote => "only a scheduled or retrying one can be promoted",
        Action::Delete => "only one that is over can be deleted",
    }
}

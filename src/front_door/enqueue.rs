//! `POST /v1/jobs`: accepts a job, durably, before it answers.
//!
//! What a request asks for is [`plan`]'s business. Here it is stored by whoever makes the promise for its kind,
//! and what they say becomes an answer. Runs nothing.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde_json::json;
use windlass_engine::store::{ENVELOPE_BYTES_MAX, Enqueued};
use windlass_engine::trace::enqueueing;
use windlass_engine::{AcceptedBy, JobId, NewJob, State};
use windlass_jobs::outbox::Put;

use self::plan::{Named, Planned};
use super::body;
use super::caller::Caller;
use super::found::{Found, find, find_each};
use super::problem::{Kind, Problem};
use super::{Door, FrontDoor};

pub mod batch;
pub mod plan;
pub mod wanted;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What became of one planned job.
#[derive(Debug)]
pub enum Accepted {
    /// Stored now.
    New(Receipt),
    /// The same request was accepted before.
    Again(Receipt, Named),
    /// Another job of the kind holds the unique key: this one.
    Duplicate(Receipt),
}

/// What the caller gets to know of a job that was accepted.
#[derive(Debug)]
pub struct Receipt {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    pub priority: windlass_engine::Priority,
    pub state: State,
}

/// `POST /v1/jobs`
pub async fn enqueue(
    Given(door): Given<Door>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let text = body::read_json(&headers, body, ENVELOPE_BYTES_MAX).await?;
    enqueue_text(&door, &caller, &headers, &text).await
}

/// As `POST /v1/jobs` with this body.
pub async fn enqueue_text(
    door: &FrontDoor,
    caller: &Caller,
    headers: &HeaderMap,
    text: &[u8],
) -> Result<Response, Problem> {
    let planned = plan::plan(door, caller, headers, text)?;
    let accepted = accept(door, vec![planned]).await.pop();
    Ok(accepted
        .unwrap_or_else(|| Err(Problem::internal(anyhow::anyhow!("a job got no answer"))))?
        .into_response())
}

/// Stores the planned jobs, each by whoever promises to keep its kind. Answers in order.
pub async fn accept(door: &FrontDoor, mut planned: Vec<Planned>) -> Vec<Result<Accepted, Problem>> {
    let span = enqueueing(planned.iter_mut().map(|planned| &mut planned.job));
    span.within(store(door, planned)).await
}

async fn store(door: &FrontDoor, planned: Vec<Planned>) -> Vec<Result<Accepted, Problem>> {
    let mut answers: Vec<Option<Result<Accepted, Problem>>> = Vec::new();
    answers.resize_with(planned.len(), || None);
    let (mut to_carrier, mut to_ledger) = (Vec::new(), Vec::new());
    for (at, planned) in planned.into_iter().enumerate() {
        if !planned.late.is_empty() {
            answers[at] = Some(come_late(door, planned).await);
        } else if planned.accepted_by == AcceptedBy::Ledger {
            to_ledger.push((at, planned));
        } else {
            to_carrier.push((at, planned));
        }
    }
    for (at, answer) in by_ledger(door, to_ledger).await.into_iter().chain(by_carrier(door, to_carrier).await)
    {
        answers[at] = Some(answer);
    }
    let unanswered = || Err(Problem::internal(anyhow::anyhow!("a job got no answer")));
    answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect()
}

type At<T> = (usize, T);

/// A request that its own times rule out now may be the repeat of one that was in time.
async fn come_late(door: &FrontDoor, planned: Planned) -> Result<Accepted, Problem> {
    let before = match planned.name {
        Named::ByUs => None,
        Named::ById | Named::ByKey => find(door, &planned.job.id).await?,
    };
    match before {
        Some(before) => again(&planned, &before),
        None => Err(Problem::new(Kind::Invalid, "The times do not hold together.").faults(planned.late)),
    }
}

async fn by_carrier(door: &FrontDoor, planned: Vec<At<Planned>>) -> Vec<At<Result<Accepted, Problem>>> {
    if planned.is_empty() {
        return Vec::new();
    }
    let jobs = planned.iter().map(|(_, planned)| planned.job.clone()).collect();
    let stored = match door.store.enqueue(jobs).await {
        Ok(stored) => stored,
        Err(error) => return all_refused(&planned, || error.clone().into()),
    };
    let mut answers = Vec::with_capacity(planned.len());
    for ((at, planned), stored) in planned.into_iter().zip(stored) {
        let answer = match stored {
            Enqueued::New => Ok(new(&planned.job)),
            Enqueued::Exists { fingerprint, .. } => same_id(door, &planned, fingerprint.as_deref()).await,
            Enqueued::Duplicate { of } => duplicate(door, &planned.job, of).await,
            Enqueued::Full => Err(Problem::new(
                Kind::Full,
                format!("Queue {} holds as many jobs as it may. Nothing was accepted.", planned.job.queue),
            )),
        };
        answers.push((at, answer));
    }
    answers
}

async fn by_ledger(door: &FrontDoor, mut planned: Vec<At<Planned>>) -> Vec<At<Result<Accepted, Problem>>> {
    if planned.is_empty() {
        return Vec::new();
    }
    let mut answers = Vec::with_capacity(planned.len());
    // The ledger forgets a job that is over; the carrier knows it for longer. A job that ends between this look
    // and the next step is handed over again, which the carrier's own idempotence makes harmless.
    let named = planned.iter().filter(|(_, planned)| planned.name != Named::ByUs);
    let mut known = match find_each(door, named.map(|(_, planned)| planned.job.id.clone()).collect()).await {
        Ok(known) => known,
        // An order is taken although the carrier is away: that is what the ledger is for.
        Err(error) => {
            tracing::debug!("accepting without the carrier: {error}");
            Default::default()
        }
    };
    planned.retain(|(at, planned)| match known.remove(&planned.job.id) {
        Some(before) => {
            answers.push((*at, again(planned, &Found::Carrier(Box::new(before)))));
            false
        }
        None => true,
    });
    let jobs = planned.iter().map(|(_, planned)| planned.job.clone()).collect();
    let puts = match door.ledger.accept(jobs).await {
        Ok(puts) => puts,
        Err(error) => {
            answers.extend(all_refused(&planned, || error.clone().into()));
            return answers;
        }
    };
    for ((at, planned), put) in planned.into_iter().zip(puts) {
        let answer = match put {
            Put::New => Ok(new(&planned.job)),
            Put::Exists { fingerprint } => same_id(door, &planned, fingerprint.as_deref()).await,
            Put::Duplicate { of } => duplicate(door, &planned.job, of).await,
        };
        answers.push((at, answer));
    }
    answers
}

fn new(job: &NewJob) -> Accepted {
    counter!("windlass_jobs_enqueued_total", "queue" => job.queue.clone(), "kind" => job.envelope.kind.clone())
        .increment(1);
    Accepted::New(Receipt::of(job))
}

fn all_refused(planned: &[At<Planned>], problem: impl Fn() -> Problem) -> Vec<At<Result<Accepted, Problem>>> {
    planned.iter().map(|(at, _)| (*at, Err(problem()))).collect()
}

async fn same_id(
    door: &FrontDoor,
    planned: &Planned,
    fingerprint: Option<&str>,
) -> Result<Accepted, Problem> {
    let (name, job) = (planned.name, &planned.job);
    if fingerprint.is_none() || fingerprint != job.envelope.fingerprint.as_deref() {
        return Err(other_body(name, &job.id));
    }
    match find(door, &job.id).await? {
        Some(before) => again(planned, &before),
        // It ended and was pruned in between.
        None if name == Named::ByKey => Ok(Accepted::Again(Receipt::of(job), name)),
        None => Ok(Accepted::Again(Receipt { state: State::Completed, ..Receipt::of(job) }, name)),
    }
}

fn again(planned: &Planned, before: &Found) -> Result<Accepted, Problem> {
    let (name, job) = (planned.name, &planned.job);
    let envelope = before.envelope();
    if envelope.fingerprint.is_none() || envelope.fingerprint != job.envelope.fingerprint {
        return Err(other_body(name, &job.id));
    }
    let mut receipt = Receipt::from(before);
    if name == Named::ByKey {
        // The key's promise is the same answer, not the newest state.
        receipt.state = planned.due.state_at(before.created_at());
    }
    Ok(Accepted::Again(receipt, name))
}

async fn duplicate(door: &FrontDoor, job: &NewJob, of: JobId) -> Result<Accepted, Problem> {
    let receipt = match find(door, &of).await? {
        Some(holder) => Receipt::from(&holder),
        None => Receipt { id: of, ..Receipt::of(job) },
    };
    Ok(Accepted::Duplicate(receipt))
}

fn other_body(name: Named, id: &JobId) -> Problem {
    let detail = match name {
        Named::ByKey => "This Idempotency-Key was sent before with another request.".to_owned(),
        Named::ById | Named::ByUs => format!("A job called {id} is there and was made by another request."),
    };
    Problem::new(Kind::OtherBody, detail)
}

impl Receipt {
    fn of(job: &NewJob) -> Self {
        Self {
            id: job.id.clone(),
            kind: job.envelope.kind.clone(),
            queue: job.queue.clone(),
            priority: job.priority,
            state: if job.run_at.is_some() { State::Scheduled } else { State::Ready },
        }
    }

    pub fn location(&self) -> String {
        location(&self.id)
    }

    pub fn told(&self) -> serde_json::Value {
        json!({
            "id": self.id,
            "kind": self.kind,
            "queue": self.queue,
            "priority": self.priority,
            "state": self.state,
        })
    }
}

impl From<&Found> for Receipt {
    fn from(found: &Found) -> Self {
        Self {
            id: found.id().clone(),
            kind: found.envelope().kind.clone(),
            queue: found.queue().to_owned(),
            priority: found.priority(),
            state: found.state(),
        }
    }
}

/// Where the job is to be asked for. An id may hold slashes.
pub fn location(id: &JobId) -> String {
    format!("/v1/jobs/{}", id.as_str().replace('/', "%2F"))
}

impl Accepted {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::New(_) | Self::Again(_, Named::ByKey) => StatusCode::ACCEPTED,
            Self::Again(..) | Self::Duplicate(_) => StatusCode::OK,
        }
    }

    pub fn receipt(&self) -> &Receipt {
        match self {
            Self::New(receipt) | Self::Again(receipt, _) | Self::Duplicate(receipt) => receipt,
        }
    }

    pub fn told(&self) -> serde_json::Value {
        let mut told = self.receipt().told();
        match self {
            Self::New(_) | Self::Again(_, Named::ByKey) => {}
            Self::Again(..) => told["existing"] = json!("same_id"),
            Self::Duplicate(_) => told["existing"] = json!("unique_key"),
        }
        told
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.told())).into_response();
        let headers = response.headers_mut();
        if let Ok(location) = HeaderValue::from_str(&self.receipt().location()) {
            headers.insert(header::LOCATION, location);
        }
        if matches!(self, Self::Again(_, Named::ByKey)) {
            headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

//! `POST /v1/jobs/batch`: many jobs in one request, an answer for each.
//!
//! A JSON array, or NDJSON with a job a line. One bad item does not spoil the others unless the caller asks for
//! all or nothing; then the whole is checked before anything is stored.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State as Given;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use windlass_engine::store::ENQUEUE_ITEMS_MAX;

use super::accept;
use super::plan::{IDEMPOTENCY_KEY, plan};
use crate::front_door::Door;
use crate::front_door::body::{Params, media_type, read, read_json};
use crate::front_door::caller::Caller;
use crate::front_door::problem::{Fault, Kind, Problem};

/// Bytes of a batch.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Batches in hand at once; more wait, unread.
const BATCHES_AT_ONCE_MAX: usize = 4;
/// Items planned between two pauses in which other requests get their turn.
const ITEMS_IN_A_ROW_MAX: usize = 256;
static BATCHES: Semaphore = Semaphore::const_new(BATCHES_AT_ONCE_MAX);
/// NDJSON's two names.
const NDJSON: [&str; 2] = ["application/x-ndjson", "application/ndjson"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Store nothing when one item is at fault.
    #[serde(default)]
    all_or_nothing: bool,
}

/// `POST /v1/jobs/batch`
pub async fn enqueue_batch(
    Given(door): Given<Door>,
    caller: Caller,
    Params(how): Params<How>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if headers.contains_key(&IDEMPOTENCY_KEY) {
        let fault = Fault::of("Idempotency-Key", "give each item of a batch an id instead");
        return Err(Problem::new(Kind::Invalid, "One key cannot name many jobs.").faults(vec![fault]));
    }
    let _turn = BATCHES.acquire().await.map_err(Problem::internal)?;
    let text = read_items(&headers, body).await?;
    let items = items(&headers, &text)?;
    if items.len() > ENQUEUE_ITEMS_MAX {
        let detail = format!("A batch has at most {ENQUEUE_ITEMS_MAX} jobs; this one has {}.", items.len());
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let mut answers: Vec<Value> = vec![Value::Null; items.len()];
    let (mut at, mut planned) = (Vec::new(), Vec::new());
    for (n, item) in items.iter().enumerate() {
        if n % ITEMS_IN_A_ROW_MAX == ITEMS_IN_A_ROW_MAX - 1 {
            tokio::task::yield_now().await;
        }
        match plan(&door, &caller, &headers, item) {
            Ok(one) => {
                at.push(n);
                planned.push(one);
            }
            Err(problem) => answers[n] = refused(&problem),
        }
    }
    if how.all_or_nothing && planned.len() < items.len() {
        let detail = "At least one item is at fault, and all or nothing was asked for: nothing was stored.";
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(told(detail, answers))).into_response());
    }
    for (n, accepted) in at.into_iter().zip(accept(&door, planned).await) {
        answers[n] = match accepted {
            Ok(accepted) => {
                let mut told = accepted.told();
                told["status"] = json!(accepted.status().as_u16());
                told
            }
            Err(problem) => refused(&problem),
        };
    }
    Ok((StatusCode::OK, Json(told("Each item has its own status.", answers))).into_response())
}

fn told(detail: &str, answers: Vec<Value>) -> Value {
    json!({ "detail": detail, "items": answers })
}

fn refused(problem: &Problem) -> Value {
    let mut told = problem.told("");
    if let Some(told) = told.as_object_mut() {
        told.remove("request_id");
    }
    told
}

async fn read_items(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    match media_type(headers) {
        Some(kind) if NDJSON.contains(&kind.as_str()) => read(body, BATCH_BYTES_MAX).await,
        _ => read_json(headers, body, BATCH_BYTES_MAX).await,
    }
}

/// The text of each item. A line that is no JSON is that item's fault; an array that is none is the whole's.
fn items<'a>(headers: &HeaderMap, text: &'a [u8]) -> Result<Vec<&'a [u8]>, Problem> {
    if media_type(headers).is_some_and(|kind| NDJSON.contains(&kind.as_str())) {
        return Ok(text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect());
    }
    let items: Vec<&RawValue> = serde_json::from_slice(text).map_err(|e| {
        let kind = if e.is_data() { Kind::Invalid } else { Kind::BrokenJson };
        Problem::new(kind, format!("A batch is a JSON array of jobs: {e}."))
    })?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

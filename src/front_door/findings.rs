//! `/v1/findings`: the cases that people look at, take and settle.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_jobs::findings::{
    Acted, FINDING_ROWS_MAX, FindingFilter, FindingState, FindingType, Resolution, assign_finding, finding,
    findings, resolve_finding,
};

use super::Door;
use super::body::{Fields, Named, Params, read_json};
use super::business::tell_times;
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page when the caller does not say.
const FINDING_ROWS: u32 = 50;
/// Bytes of what is said about one case.
const BODY_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    #[serde(rename = "type")]
    kind: Option<String>,
    state: Option<String>,
    owner: Option<String>,
    order_no: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/findings`: the oldest first.
pub async fn list(Given(door): Given<Door>, Params(which): Params<Which>) -> Result<Json<Value>, Problem> {
    let mut faults = Vec::new();
    let kind = named::<FindingType>(
        which.kind.as_deref(),
        "type",
        FindingType::ALL.iter().map(|it| it.as_str()),
        &mut faults,
    );
    let state = named::<FindingState>(
        which.state.as_deref(),
        "state",
        FindingState::ALL.iter().map(|it| it.as_str()),
        &mut faults,
    );
    let limit = which.limit.unwrap_or(FINDING_ROWS);
    if !(1..=FINDING_ROWS_MAX).contains(&limit) {
        faults.push(Fault::of("limit", format!("must be between 1 and {FINDING_ROWS_MAX}")));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
    }
    let filter =
        FindingFilter { kind, state, owner: which.owner.as_deref(), order_no: which.order_no.as_deref() };
    Ok(told(json!(findings(&door.ledger, &filter, limit, which.cursor.as_deref()).await?)))
}

fn named<'a, T: std::str::FromStr>(
    text: Option<&str>,
    parameter: &str,
    all: impl Iterator<Item = &'a str>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let parsed = text?.parse().ok();
    if parsed.is_none() {
        faults.push(Fault::of(parameter, format!("must be one of {}", all.collect::<Vec<_>>().join(", "))));
    }
    parsed
}

/// `GET /v1/findings/{id}`
pub async fn show(Given(door): Given<Door>, Named(id): Named) -> Result<Json<Value>, Problem> {
    one(&door, &id).await
}

/// `POST /v1/findings/{id}/assign`: `{"owner"}`. The case as it stands then.
pub async fn assign(
    Given(door): Given<Door>,
    Named(id): Named,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let (mut fields, mut faults) = (Fields::parse(&text)?, Vec::new());
    let owner: Option<String> = fields.take("owner", &mut faults);
    fields.end(&["owner"], &mut faults);
    let owner = said(owner, "owner", &mut faults)?;
    let acted = assign_finding(&door.ledger, &id, &owner, &caller.who()).await?;
    after(&door, &id, acted).await
}

/// `POST /v1/findings/{id}/resolve`: `{"reason", "adjustment_fen"?}`. The case as it stands then.
pub async fn resolve(
    Given(door): Given<Door>,
    Named(id): Named,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let (mut fields, mut faults) = (Fields::parse(&text)?, Vec::new());
    let reason: Option<String> = fields.take("reason", &mut faults);
    let adjustment_fen: Option<i64> = fields.take("adjustment_fen", &mut faults);
    fields.end(&["reason", "adjustment_fen"], &mut faults);
    let reason = said(reason, "reason", &mut faults)?;
    let who = caller.who();
    let how = Resolution { who: &who, reason: &reason, adjustment_fen };
    let acted = resolve_finding(&door.ledger, &id, &how).await?;
    after(&door, &id, acted).await
}

/// A text that must be there and say something; every fault of the body is told at once.
fn said(text: Option<String>, field: &str, faults: &mut Vec<Fault>) -> Result<String, Problem> {
    let pointer = format!("/{field}");
    let is_told = faults.iter().any(|fault| fault.pointer.as_ref() == Some(&pointer));
    let text = text.filter(|text| !text.trim().is_empty());
    if text.is_none() && !is_told {
        faults.push(Fault::at(pointer, "must be there and say something"));
    }
    match text {
        Some(text) if faults.is_empty() => Ok(text),
        _ => Err(Problem::new(Kind::Invalid, "This cannot be done with the finding.")
            .faults(std::mem::take(faults))),
    }
}

async fn after(door: &Door, id: &str, acted: Acted) -> Result<Json<Value>, Problem> {
    match acted {
        Acted::Done => one(door, id).await,
        Acted::Unknown => Err(no_such(id)),
        Acted::Over(state) => {
            Err(Problem::new(Kind::FindingSettled, format!("It is {} already.", state.as_str())))
        }
    }
}

async fn one(door: &Door, id: &str) -> Result<Json<Value>, Problem> {
    let found = finding(&door.ledger, id).await?.ok_or_else(|| no_such(id))?;
    Ok(told(json!(found)))
}

fn no_such(id: &str) -> Problem {
    let shown: String = id.chars().take(100).collect();
    Problem::new(Kind::NoSuchFinding, format!("No finding is called {shown:?}."))
}

fn told(mut told: Value) -> Json<Value> {
    tell_times(&mut told);
    Json(told)
}

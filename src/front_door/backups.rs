//! `/v1/backups`: where a backup script reports, and people look.
//!
//! What a backup must be, and when one is missing, is said in `windlass_jobs::housekeeping`.

use axum::Json;
use axum::body::Body;
use axum::extract::State as Given;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_engine::Timestamp;
use windlass_jobs::housekeeping::backups::{self, BACKUP_ROWS_MAX, Backup, NewBackup, record_backup};

use super::Door;
use super::body::{Fields, Params, read_json};
use super::caller::Caller;
use super::problem::{Fault, Kind, Problem};
use super::schedules::instant;

const BODY_BYTES_MAX: usize = 16 * 1024;
const FIELDS: [&str; 6] = ["kind", "taken_at", "bytes", "sha256", "where", "verified_at"];
/// Rows of the list when the caller does not say.
const ROWS: u32 = 50;

/// `POST /v1/backups`: 201 for a backup that was not known, 200 for one that was.
pub async fn record(
    Given(door): Given<Door>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let text = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let backup = asked(&text)?;
    let (stored, is_new) = record_backup(&door.ledger, &door.shop.settings, &backup, &caller.who()).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(told(&stored))).into_response())
}

fn asked(text: &[u8]) -> Result<NewBackup, Problem> {
    let mut faults = Vec::new();
    let mut fields = Fields::parse(text)?;
    let kind = fields.take("kind", &mut faults);
    let taken_at = instant(&mut fields, "taken_at", &mut faults);
    let bytes = fields.take("bytes", &mut faults);
    let sha256 = fields.take("sha256", &mut faults);
    let location = fields.take("where", &mut faults);
    let verified_at = instant(&mut fields, "verified_at", &mut faults);
    fields.end(&FIELDS, &mut faults);
    if let (Some(kind), Some(taken_at), Some(bytes), Some(sha256), Some(location)) =
        (kind, taken_at, bytes, sha256, location)
        && faults.is_empty()
    {
        return Ok(NewBackup { kind, taken_at, bytes, sha256, location, verified_at });
    }
    if faults.is_empty() {
        faults.push(Fault::at("", "kind, taken_at, bytes, sha256 and where must be there"));
    }
    Err(Problem::new(Kind::Invalid, "See `errors`.").faults(faults))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    kind: Option<String>,
    limit: Option<u32>,
}

/// `GET /v1/backups`: the newest first.
pub async fn list(
    Given(door): Given<Door>,
    Params(Which { kind, limit }): Params<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit.unwrap_or(ROWS);
    if !(1..=BACKUP_ROWS_MAX).contains(&limit) {
        let fault = Fault::of("limit", format!("must be between 1 and {BACKUP_ROWS_MAX}"));
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(vec![fault]));
    }
    let backups = backups::list(&door.ledger, kind.as_deref(), limit).await?;
    Ok(Json(json!({ "backups": backups.iter().map(told).collect::<Vec<_>>() })))
}

/// As people and scripts read it; the command line tells it so, too.
pub fn told(backup: &Backup) -> Value {
    json!({
        "id": backup.id, "kind": backup.kind, "taken_at": backup.taken_at.to_rfc3339(),
        "bytes": backup.bytes, "sha256": backup.sha256, "where": backup.location,
        "verified_at": backup.verified_at.map(Timestamp::to_rfc3339),
        "reported_at": backup.reported_at.to_rfc3339(), "reported_by": backup.reported_by,
    })
}

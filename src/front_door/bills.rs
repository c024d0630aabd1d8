//! The bills of WeChat Pay that the ledger has. Fetching one is a job: `POST /v1/jobs` with `fetch_bill`.

use axum::Json;
use axum::extract::State as Given;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_jobs::payments::bill::{BILL_ROWS_MAX, bills, parse_day};

use super::Door;
use super::body::Params;
use super::business::tell_times;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page when the caller does not say.
const BILL_ROWS: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichBills {
    day: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/bills`: the newest day first. `?day=2026-01-05` tells all that came for one day.
pub async fn list(
    Given(door): Given<Door>,
    Params(which): Params<WhichBills>,
) -> Result<Json<Value>, Problem> {
    let mut faults = Vec::new();
    if which.day.as_deref().is_some_and(|day| parse_day(day).is_none()) {
        faults.push(Fault::of("day", "must be a day such as 2026-01-05"));
    }
    let limit = which.limit.unwrap_or(BILL_ROWS);
    if !(1..=BILL_ROWS_MAX).contains(&limit) {
        faults.push(Fault::of("limit", format!("must be between 1 and {BILL_ROWS_MAX}")));
    }
    if !faults.is_empty() {
        return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(faults));
    }
    let page = bills(&door.ledger, which.day.as_deref(), limit, which.cursor.as_deref()).await?;
    let mut told = json!(page);
    tell_times(&mut told);
    Ok(Json(told))
}

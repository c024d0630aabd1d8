//! The catalogue through the door: products with their prices, the story of one, synchronisations, balances.

use axum::Json;
use axum::extract::State as Given;
use serde::Deserialize;
use serde_json::{Value, json};
use windlass_jobs::suppliers::catalogue::{
    PRODUCT_ROWS_MAX, ProductFilter, balances as supplier_balances, product_story, products,
};
use windlass_jobs::suppliers::sync_run::{SYNC_RUN_ROWS_MAX, SyncKind, failed_chunks, sync_run, sync_runs};

use super::Door;
use super::body::{Named, Params};
use super::business::tell_times;
use super::problem::{Fault, Kind, Problem};

/// Rows on a page when the caller does not say.
const ROWS: u32 = 50;
/// Chunks that were given up, of one run.
const FAILED_ROWS: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichProducts {
    for_sale: Option<bool>,
    active: Option<bool>,
    group: Option<String>,
    brand: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/products`: in the order of their codes.
pub async fn list(
    Given(door): Given<Door>,
    Params(which): Params<WhichProducts>,
) -> Result<Json<Value>, Problem> {
    let limit = within(which.limit, PRODUCT_ROWS_MAX)?;
    let WhichProducts { for_sale, active, group, brand, cursor, .. } = which;
    let filter = ProductFilter { for_sale, active, group, brand, limit, cursor };
    Ok(told(json!(products(&door.ledger, &filter).await?)))
}

/// `GET /v1/products/{code}`: everything of one, with its history.
pub async fn show(Given(door): Given<Door>, Named(code): Named) -> Result<Json<Value>, Problem> {
    match product_story(&door.ledger, &code).await? {
        Some(story) => Ok(told(json!(story))),
        None => {
            let shown: String = code.chars().take(100).collect();
            Err(Problem::new(Kind::NoSuchProduct, format!("No answer of the supplier ever held {shown:?}.")))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichRuns {
    kind: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /v1/sync-runs`: the newest first.
pub async fn runs(
    Given(door): Given<Door>,
    Params(which): Params<WhichRuns>,
) -> Result<Json<Value>, Problem> {
    let kind = match which.kind.as_deref().map(str::parse::<SyncKind>).transpose() {
        Ok(kind) => kind,
        Err(_) => {
            let fault = Fault::of("kind", "must be one of products, prices, stock");
            return Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(vec![fault]));
        }
    };
    let limit = within(which.limit, SYNC_RUN_ROWS_MAX)?;
    Ok(told(json!(sync_runs(&door.ledger, kind, limit, which.cursor.as_deref()).await?)))
}

/// `GET /v1/sync-runs/{id}`: one run, and what of it was given up.
pub async fn run(Given(door): Given<Door>, Named(id): Named) -> Result<Json<Value>, Problem> {
    let Some(run) = sync_run(&door.ledger, &id).await? else {
        let shown: String = id.chars().take(100).collect();
        return Err(Problem::new(Kind::NoSuchRun, format!("No synchronisation is called {shown:?}.")));
    };
    let failed = failed_chunks(&door.ledger, &id, FAILED_ROWS).await?;
    let mut told = json!(run);
    told["given_up"] = failed
        .into_iter()
        .map(|(codes, error)| {
            json!({ "codes": serde_json::from_str::<Value>(&codes).unwrap_or_default(), "error": error })
        })
        .collect();
    tell_times(&mut told);
    Ok(Json(told))
}

/// `GET /v1/supplier-balances`: what is left on each payer account, in fen.
pub async fn balances(Given(door): Given<Door>) -> Result<Json<Value>, Problem> {
    Ok(told(json!({ "balances": supplier_balances(&door.ledger).await? })))
}

fn told(mut told: Value) -> Json<Value> {
    tell_times(&mut told);
    Json(told)
}

fn within(limit: Option<u32>, rows_max: u32) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(ROWS);
    if (1..=rows_max).contains(&limit) {
        return Ok(limit);
    }
    let fault = Fault::of("limit", format!("must be between 1 and {rows_max}"));
    Err(Problem::new(Kind::Invalid, "The list cannot be made so.").faults(vec![fault]))
}

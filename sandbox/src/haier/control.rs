//! What the hand of whoever runs the sandbox can turn and read of Haier.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use windlass_engine::Timestamp;

use super::catalogue::Day;
use super::desk::{CallsTruth, Turn};
use crate::world::World;

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/control/haier", post(turn))
        .route("/truth/catalogue", get(catalogue))
        .route("/truth/calls", get(calls))
}

async fn turn(State(world): State<Arc<World>>, Json(turn): Json<Turn>) -> Json<CallsTruth> {
    world.haier.turn(turn);
    Json(world.haier.calls())
}

async fn calls(State(world): State<Arc<World>>) -> Json<CallsTruth> {
    Json(world.haier.calls())
}

#[derive(Debug, Deserialize)]
struct When {
    /// RFC 3339; now when it is absent.
    at: Option<String>,
}

async fn catalogue(State(world): State<Arc<World>>, Query(when): Query<When>) -> Response {
    let today = world.haier_today();
    let at = when.at.as_deref().map_or(Ok(today.at), Timestamp::parse_rfc3339);
    match at {
        Ok(at) => Json(Day { at, ..today }.truth()).into_response(),
        Err(error) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": error.to_string()}))).into_response()
        }
    }
}

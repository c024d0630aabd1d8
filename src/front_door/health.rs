//! Health at the front door.

use axum::Json;
use axum::extract::State as Given;
use axum::http::StatusCode;
use serde_json::Value;

use super::Door;
use crate::health::Health;
pub use crate::health::live;

/// `GET /readyz`: see [`Health::ready`].
pub async fn ready(Given(door): Given<Door>) -> (StatusCode, Json<Value>) {
    let health = Health {
        store: door.store.clone(),
        ledger: door.ledger.clone(),
        clock: door.clock.clone(),
        pulses: door.pulses.clone(),
        closing: door.closing.clone(),
    };
    health.ready().await
}

//! Whether the process lives, and whether it can do its work.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Given;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Door;

/// How long the carrier or the ledger may take to say that it is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// `GET /livez`: the process answers.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the carrier and the ledger answer and can write. 503 while either does not, or the door closes.
pub async fn ready(Given(door): Given<Door>) -> (StatusCode, Json<Value>) {
    let carrier = tokio::time::timeout(ANSWER_TIMEOUT, door.store.ping());
    let ledger = tokio::time::timeout(ANSWER_TIMEOUT, door.ledger.ping());
    let (carrier, ledger) = tokio::join!(carrier, ledger);
    let carrier = carrier.map_err(|_| silent()).and_then(|answer| answer.map_err(|e| e.to_string()));
    let ledger = ledger.map_err(|_| silent()).and_then(|answer| answer.map_err(|e| e.to_string()));
    let closing = door.closing.is_cancelled();
    let ready = carrier.is_ok() && ledger.is_ok() && !closing;
    let told = json!({
        "status": if ready { "ok" } else { "unavailable" },
        "checks": {
            "carrier": check(door.store.name(), &carrier),
            "ledger": check("sql", &ledger),
            "open": { "ok": !closing },
        },
    });
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(told))
}

fn silent() -> String {
    format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
}

fn check(name: &str, answer: &Result<(), String>) -> Value {
    if let Err(why) = answer {
        tracing::warn!(name, "not ready: {why}");
    }
    // What exactly is broken stands in the log: this address is open to whoever can reach it.
    json!({ "ok": answer.is_ok(), "name": name })
}

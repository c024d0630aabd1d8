//! Every address of the door, for those who call it. What it does is in the module that the router names.

use serde_json::{Value, json};

mod business;

/// One method of one address.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// Name, type and meaning.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of the body.
    pub body: Option<fn() -> Value>,
    /// Status and meaning of what is no refusal.
    pub answers: &'static [(u16, &'static str)],
    pub who: Who,
}

/// Who may call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Whoever has a key with the scope that the address needs.
    Key,
    Anybody,
    /// An outside system, by its signature.
    Outside,
}

pub const TAGS: &[(&str, &str)] = &[
    ("Jobs", "Handing in jobs, looking at them, acting on them."),
    ("Queues", "Queues, workers and the books."),
    ("Schedules", "What comes by itself, and when."),
    ("Business", "Orders, and what was done to the outside."),
    ("Money", "Bills, reconciliations, refunds, and the cases that people look at."),
    ("Catalogue", "The supplier's goods, and how they are kept in step."),
    ("Webhooks", "Other systems that are told of events."),
    ("House", "Backups, health and figures."),
    ("Callbacks", "Where the systems outside call."),
];

const GET: Route = Route {
    method: "GET",
    path: "",
    tag: "",
    summary: "",
    query: &[],
    body: None,
    answers: &[(200, "As asked")],
    who: Who::Key,
};
const POST: Route = Route { method: "POST", ..GET };
const LIMIT: (&str, &str, &str) = ("limit", "integer", "Rows on the page");
const CURSOR: (&str, &str, &str) = ("cursor", "string", "Where the page before ended");

/// Every address, each method once.
pub fn routes() -> impl Iterator<Item = &'static Route> {
    HOUSE.iter().chain(business::ROUTES)
}

const HOUSE: &[Route] = &[
    Route {
        path: "/v1/jobs",
        tag: "Jobs",
        summary: "Hands in a job; an Idempotency-Key or an id makes it safe to repeat",
        body: Some(|| json!({ "$ref": "#/components/schemas/NewJob" })),
        answers: &[(202, "Accepted: it is on disk"), (200, "It was there already")],
        ..POST
    },
    Route {
        path: "/v1/jobs/batch",
        tag: "Jobs",
        summary: "Hands in up to 10,000 jobs, as a JSON array or NDJSON",
        query: &[("all_or_nothing", "boolean", "Stores none when one is at fault")],
        body: Some(|| json!({ "type": "array", "items": { "$ref": "#/components/schemas/NewJob" } })),
        answers: &[(200, "An answer for each")],
        ..POST
    },
    Route {
        path: "/v1/jobs/actions",
        tag: "Jobs",
        summary: "Does one thing to every job that a filter finds; first it only counts them",
        body: Some(actions),
        answers: &[(200, "What was counted or done; with a cursor there is more")],
        ..POST
    },
    Route {
        path: "/v1/jobs",
        tag: "Jobs",
        summary: "Lists jobs, the newest first",
        query: &[
            ("state", "string", "scheduled, ready, running, retrying, completed, dead or cancelled"),
            ("kind", "string", "Of this kind"),
            ("queue", "string", "In this queue"),
            ("tag", "string", "With this tag"),
            LIMIT,
            CURSOR,
        ],
        ..GET
    },
    Route {
        path: "/v1/jobs/{id}",
        tag: "Jobs",
        summary: "One job, whole",
        query: &[("wait", "number", "Seconds to wait for its end, at most 30")],
        ..GET
    },
    Route {
        path: "/v1/jobs/{id}/events",
        tag: "Jobs",
        summary: "What becomes of the job, as server-sent events, until it is over",
        answers: &[(200, "Events `state`, and at last one `end`")],
        ..GET
    },
    Route { path: "/v1/jobs/{id}/why", tag: "Jobs", summary: "Why the job does not run", ..GET },
    Route {
        path: "/v1/jobs/{id}/cancel",
        tag: "Jobs",
        summary: "Cancels the job",
        answers: &[(200, "It is cancelled"), (202, "It runs, and was asked to stop")],
        ..POST
    },
    Route { path: "/v1/jobs/{id}/retry", tag: "Jobs", summary: "A dead or cancelled job runs again", ..POST },
    Route {
        path: "/v1/jobs/{id}/promote",
        tag: "Jobs",
        summary: "A job that waits for its time is due now",
        ..POST
    },
    Route {
        method: "DELETE",
        path: "/v1/jobs/{id}",
        tag: "Jobs",
        summary: "Forgets a job that is over",
        answers: &[(204, "It is gone")],
        ..GET
    },
    Route { path: "/v1/kinds", tag: "Jobs", summary: "Kinds of jobs, with their schemas", ..GET },
    Route { path: "/v1/queues", tag: "Queues", summary: "Every queue, and what holds it back", ..GET },
    Route {
        path: "/v1/queues/{queue}/pause",
        tag: "Queues",
        summary: "Nothing of the queue is begun",
        body: Some(why),
        ..POST
    },
    Route {
        method: "PATCH",
        path: "/v1/queues/{queue}",
        tag: "Queues",
        summary: "Sets what holds the queue back; what is absent stays, null takes it away",
        body: Some(gate),
        ..GET
    },
    Route { path: "/v1/queues/{queue}/resume", tag: "Queues", summary: "The queue goes on", ..POST },
    Route { path: "/v1/stats", tag: "Queues", summary: "Sums over all queues", ..GET },
    Route { path: "/v1/audit", tag: "Queues", summary: "Whether the books of the queues balance", ..GET },
    Route { path: "/v1/workers", tag: "Queues", summary: "Workers that live", ..GET },
    Route {
        path: "/v1/schedules",
        tag: "Schedules",
        summary: "Every schedule: next, last, last success, lag, pause",
        ..GET
    },
    Route { path: "/v1/schedules/{key}", tag: "Schedules", summary: "One schedule", ..GET },
    Route {
        path: "/v1/schedules/{key}/preview",
        tag: "Schedules",
        summary: "When it fires next, in its zone and in UTC",
        query: &[("n", "integer", "How many times: 1 to 100, 5 when not said")],
        ..GET
    },
    Route {
        path: "/v1/schedules/{key}/run",
        tag: "Schedules",
        summary: "One job of it now",
        answers: &[(202, "The job"), (200, "Another job holds its unique key")],
        ..POST
    },
    Route {
        path: "/v1/schedules/{key}/pause",
        tag: "Schedules",
        summary: "Its instants pass without a job",
        body: Some(why),
        ..POST
    },
    Route { path: "/v1/schedules/{key}/resume", tag: "Schedules", summary: "It goes on from now", ..POST },
    Route {
        path: "/v1/schedules/{key}/backfill",
        tag: "Schedules",
        summary: "The jobs of past instants that have none; first it only tells which",
        body: Some(backfill),
        ..POST
    },
    Route {
        path: "/v1/backups",
        tag: "House",
        summary: "Backups that were reported, the newest first",
        query: &[("kind", "string", "Of this kind"), LIMIT],
        ..GET
    },
    Route {
        path: "/v1/backups",
        tag: "House",
        summary: "A backup script's report",
        body: Some(backup),
        answers: &[(201, "It is recorded"), (200, "It was known")],
        ..POST
    },
    Route { path: "/livez", tag: "House", summary: "The process answers", who: Who::Anybody, ..GET },
    Route {
        path: "/readyz",
        tag: "House",
        summary: "Carrier and ledger answer, and work goes on",
        who: Who::Anybody,
        ..GET
    },
    Route { path: "/metrics", tag: "House", summary: "Figures for Prometheus", who: Who::Anybody, ..GET },
    Route { path: "/openapi.json", tag: "House", summary: "This, for programs", who: Who::Anybody, ..GET },
    Route { path: "/docs", tag: "House", summary: "This, for people", who: Who::Anybody, ..GET },
    Route {
        path: "/callbacks/ylh",
        tag: "Callbacks",
        summary: "YLH's order callbacks",
        who: Who::Outside,
        ..POST
    },
    Route {
        path: "/callbacks/wechat-pay/payment",
        tag: "Callbacks",
        summary: "WeChat Pay tells of a payment",
        who: Who::Outside,
        ..POST
    },
    Route {
        path: "/callbacks/wechat-pay/refund",
        tag: "Callbacks",
        summary: "WeChat Pay tells of a refund",
        who: Who::Outside,
        ..POST
    },
];

/// A job to be handed in, without what its kind says of the payload.
pub fn new_job() -> Value {
    json!({
        "type": "object", "required": ["kind"], "unevaluatedProperties": false,
        "properties": {
            "kind": { "type": "string" },
            "payload": { "type": "object", "default": {} },
            "id": { "type": "string", "maxLength": 64 },
            "queue": { "type": "string" },
            "priority": { "enum": ["critical", "high", "normal", "low"] },
            "run_at": { "type": "string", "format": "date-time" },
            "delay_seconds": { "type": "number", "minimum": 0 },
            "max_attempts": { "type": "integer", "minimum": 1 },
            "unique_key": { "type": "string" },
            "deadline": { "type": "string", "format": "date-time" },
            "tags": { "type": "array", "items": { "type": "string" } },
        },
    })
}

/// A job as it is told.
pub fn job() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" }, "kind": { "type": "string" }, "queue": { "type": "string" },
            "state": { "enum": ["scheduled", "ready", "running", "retrying", "completed", "dead", "cancelled"] },
            "attempt": { "type": "integer" }, "payload": { "type": "object" }, "result": true,
            "errors": { "type": "array", "items": { "type": "object" } },
        },
    })
}

fn actions() -> Value {
    let instant = json!({ "type": "string", "format": "date-time" });
    json!({
        "type": "object", "required": ["action", "filter"],
        "properties": {
            "action": { "enum": ["retry", "cancel", "promote", "delete"] },
            "filter": {
                "type": "object", "required": ["state"],
                "properties": {
                    "state": { "type": "string" }, "kind": { "type": "string" }, "queue": { "type": "string" },
                    "tag": { "type": "string" }, "created_after": instant, "created_before": instant,
                },
            },
            "dry_run": { "type": "boolean", "default": true },
            "limit": { "type": "integer", "minimum": 1, "maximum": super::super::actions::ACTED_ON_MAX },
            "cursor": { "type": "string" },
        },
    })
}

fn why() -> Value {
    json!({ "type": "object", "properties": { "by": { "type": "string" }, "reason": { "type": "string" } } })
}

fn gate() -> Value {
    let count = json!({ "type": ["integer", "null"], "minimum": 1 });
    let whole = json!({ "type": "integer", "minimum": 1 });
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "rate": {
                "type": ["object", "null"], "required": ["jobs", "per_ms"],
                "properties": { "jobs": whole, "per_ms": whole, "burst": whole },
            },
            "concurrency_max": count, "backlog_max": count,
            "breaker": {
                "type": ["object", "null"], "required": ["failures", "cool_ms", "cool_max_ms"],
                "properties": { "failures": whole, "cool_ms": whole, "cool_max_ms": whole },
            },
        },
    })
}

fn backfill() -> Value {
    let instant = json!({ "type": "string", "format": "date-time" });
    json!({
        "type": "object", "required": ["from", "to"],
        "properties": { "from": instant, "to": instant, "dry_run": { "type": "boolean", "default": true } },
    })
}

fn backup() -> Value {
    let instant = json!({ "type": "string", "format": "date-time" });
    json!({
        "type": "object", "required": ["kind", "taken_at", "bytes", "sha256", "where"],
        "properties": {
            "kind": { "type": "string", "pattern": "^[a-z0-9_]{1,32}$" }, "taken_at": instant,
            "bytes": { "type": "integer", "minimum": 1 },
            "sha256": { "type": "string", "pattern": "^[0-9a-fA-F]{64}$" },
            "where": { "type": "string", "maxLength": 500 }, "verified_at": instant,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::front_door::enqueue::wanted::FIELDS;

    #[test]
    fn a_new_job_has_the_fields_that_the_door_takes() {
        let told = new_job();
        let told: BTreeSet<&str> =
            told["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(told, FIELDS.into_iter().collect());
    }
}

//! Addresses of the business: orders, money, the catalogue, webhooks.

use serde_json::{Value, json};

use super::{CURSOR, GET, LIMIT, POST, Route};

pub const ROUTES: &[Route] = &[
    Route { path: "/v1/orders/{no}", tag: "Business", summary: "An order and its story", ..GET },
    Route { path: "/v1/totals", tag: "Business", summary: "The shop's books in figures", ..GET },
    Route {
        path: "/v1/effects",
        tag: "Business",
        summary: "What was done to the outside, the oldest first",
        query: &[("state", "string", "intended, done, refused or in_doubt"), LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/effects/{key}/settle",
        tag: "Business",
        summary: "Settles an effect in doubt, as a person found out",
        body: Some(settle_effect),
        ..POST
    },
    Route {
        path: "/v1/orders/{no}/upload/settle",
        tag: "Business",
        summary: "Settles a shipment that WeChat did not take",
        body: Some(settle_upload),
        ..POST
    },
    Route {
        path: "/v1/payments/{no}/settle",
        tag: "Money",
        summary: "Settles a payment of another amount than the order's, by the order's number",
        body: Some(settle_payment),
        ..POST
    },
    Route {
        path: "/v1/refunds",
        tag: "Money",
        summary: "Refunds, the oldest first",
        query: &[("state", "string", "A state, or needs_person"), LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/refunds/{no}/replace",
        tag: "Money",
        summary: "Makes a refund that came to nothing again, under a new number",
        body: Some(reason),
        ..POST
    },
    Route {
        path: "/v1/bills",
        tag: "Money",
        summary: "Bills of WeChat Pay, the newest day first",
        query: &[("day", "string", "All that came for one day"), LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/reconciliations",
        tag: "Money",
        summary: "Days that were compared, the newest first, every version",
        query: &[LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/reconciliations",
        tag: "Money",
        summary: "Compares a day",
        body: Some(compare),
        answers: &[(202, "The job that does it"), (200, "It was there already")],
        ..POST
    },
    Route {
        path: "/v1/reconciliations/{date}",
        tag: "Money",
        summary: "The report of a day",
        query: &[
            ("version", "integer", "The newest when not said"),
            ("format", "string", "json, csv or html; the Accept header says it too"),
        ],
        ..GET
    },
    Route {
        path: "/v1/findings",
        tag: "Money",
        summary: "Cases that people look at, the oldest first",
        query: &[
            ("type", "string", "Of this type"),
            ("state", "string", "open, assigned, resolved or superseded"),
            ("owner", "string", "Of this owner"),
            ("order_no", "string", "About this order"),
            LIMIT,
            CURSOR,
        ],
        ..GET
    },
    Route { path: "/v1/findings/{id}", tag: "Money", summary: "One case, with its evidence", ..GET },
    Route {
        path: "/v1/findings/{id}/assign",
        tag: "Money",
        summary: "Gives the case to somebody",
        body: Some(owner),
        ..POST
    },
    Route {
        path: "/v1/findings/{id}/resolve",
        tag: "Money",
        summary: "Closes the case",
        body: Some(resolve),
        ..POST
    },
    Route {
        path: "/v1/products",
        tag: "Catalogue",
        summary: "Goods, in the order of their codes",
        query: &[
            ("for_sale", "boolean", "Whether they can be bought"),
            ("active", "boolean", "Whether the shop sells them"),
            ("group", "string", "Of this group"),
            ("brand", "string", "Of this brand"),
            LIMIT,
            CURSOR,
        ],
        ..GET
    },
    Route {
        path: "/v1/products/{code}",
        tag: "Catalogue",
        summary: "Everything of one product, with its history",
        ..GET
    },
    Route {
        path: "/v1/sync-runs",
        tag: "Catalogue",
        summary: "Synchronisations, the newest first",
        query: &[("kind", "string", "Of this kind"), LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/sync-runs/{id}",
        tag: "Catalogue",
        summary: "One synchronisation, and what of it was given up",
        ..GET
    },
    Route {
        path: "/v1/supplier-balances",
        tag: "Catalogue",
        summary: "What is left on each payer account, in fen",
        ..GET
    },
    Route { path: "/v1/webhooks", tag: "Webhooks", summary: "Endpoints", ..GET },
    Route {
        path: "/v1/webhooks",
        tag: "Webhooks",
        summary: "Adds an endpoint; the secret is shown this once",
        body: Some(endpoint),
        answers: &[(201, "It is there")],
        ..POST
    },
    Route { path: "/v1/webhooks/{id}", tag: "Webhooks", summary: "One endpoint", ..GET },
    Route {
        method: "PATCH",
        path: "/v1/webhooks/{id}",
        tag: "Webhooks",
        summary: "It is told at another address from now on, under the secret that it has",
        body: Some(moved),
        ..GET
    },
    Route {
        method: "DELETE",
        path: "/v1/webhooks/{id}",
        tag: "Webhooks",
        summary: "Forgets an endpoint",
        answers: &[(204, "It is gone")],
        ..GET
    },
    Route {
        path: "/v1/webhooks/{id}/rotate",
        tag: "Webhooks",
        summary: "A new secret, shown this once; the old one signs too for a while",
        ..POST
    },
    Route { path: "/v1/webhooks/{id}/enable", tag: "Webhooks", summary: "It is told again", ..POST },
    Route { path: "/v1/webhooks/{id}/disable", tag: "Webhooks", summary: "It is told no more", ..POST },
    Route {
        path: "/v1/webhooks/{id}/test",
        tag: "Webhooks",
        summary: "A message of the type webhook.test",
        ..POST
    },
    Route {
        path: "/v1/webhooks/{id}/redeliver",
        tag: "Webhooks",
        summary: "Tells again what it was told, or all since an instant",
        body: Some(redeliver),
        ..POST
    },
    Route {
        path: "/v1/webhooks/{id}/deliveries",
        tag: "Webhooks",
        summary: "What it was told, the newest first",
        query: &[("state", "string", "In this state"), LIMIT, CURSOR],
        ..GET
    },
    Route {
        path: "/v1/webhooks/{id}/deliveries/{message}",
        tag: "Webhooks",
        summary: "Each try of one message",
        ..GET
    },
];

fn decided(name: &str, values: &[&str]) -> Value {
    json!({
        "type": "object", "required": [name, "reason"],
        "properties": { name: { "enum": values }, "reason": { "type": "string" } },
    })
}

fn settle_effect() -> Value {
    decided("outcome", &["done", "refused", "never_happened"])
}

fn settle_upload() -> Value {
    decided("outcome", &["uploaded", "again", "not_needed"])
}

fn settle_payment() -> Value {
    decided("decision", &["accept", "refund"])
}

fn reason() -> Value {
    json!({ "type": "object", "required": ["reason"], "properties": { "reason": { "type": "string" } } })
}

fn compare() -> Value {
    json!({
        "type": "object", "required": ["date"],
        "properties": { "date": { "type": "string", "format": "date" }, "again": { "type": "boolean" } },
    })
}

fn owner() -> Value {
    json!({ "type": "object", "required": ["owner"], "properties": { "owner": { "type": "string" } } })
}

fn resolve() -> Value {
    let mut body = reason();
    body["properties"]["adjustment_fen"] = json!({ "type": "integer" });
    body
}

fn endpoint() -> Value {
    json!({
        "type": "object", "required": ["url"],
        "properties": {
            "url": { "type": "string", "format": "uri" },
            "types": { "type": "array", "items": { "type": "string" } },
            "description": { "type": "string" },
        },
    })
}

fn moved() -> Value {
    json!({
        "type": "object", "required": ["url"],
        "properties": { "url": { "type": "string", "format": "uri" } },
    })
}

fn redeliver() -> Value {
    json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "since": { "type": "string", "format": "date-time" } },
    })
}

//! `/openapi.json` and `/docs`: what the door takes and answers, made from one table of routes and the kinds' own
//! schemas. A test holds the table in step with the router.

use std::fmt::Write;

use axum::Json;
use axum::extract::State as Given;
use axum::http::{HeaderValue, Method, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::caller::needed;
use super::{Door, FrontDoor};

mod routes;

use self::routes::{Route, Who, routes};

/// `GET /openapi.json`: OpenAPI 3.1.
pub async fn document(Given(door): Given<Door>) -> Json<Value> {
    Json(document_of(&door))
}

fn document_of(door: &FrontDoor) -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let at = paths.entry(route.path).or_insert_with(|| json!({}));
        at[route.method.to_ascii_lowercase()] = operation(route);
    }
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem());
    schemas.insert("Job".to_owned(), routes::job());
    let mut jobs = Vec::new();
    for (name, schema) in door.kinds.schemas() {
        let mut schema = schema.clone();
        // A resource of its own: what refers to `#/$defs` means its own.
        schema["$id"] = json!(format!("/schemas/payload/{name}"));
        schemas.insert(format!("payload.{name}"), schema);
        let payload = json!({ "$ref": format!("#/components/schemas/payload.{name}") });
        jobs.push(json!({ "properties": { "kind": { "const": name }, "payload": payload } }));
    }
    let mut new_job = routes::new_job();
    new_job["oneOf"] = json!(jobs);
    schemas.insert("NewJob".to_owned(), new_job);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Windlass", "version": env!("CARGO_PKG_VERSION"),
            "description": "Jobs, queues, schedules and the business of a shop. A refusal is a problem document \
                            (RFC 9457): branch on the last part of `type`.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "key": [] }],
        "tags": routes::TAGS.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "`windlass keys create` makes a key" },
                "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = in_path(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    for (name, kind, about) in route.query {
        parameters
            .push(json!({ "name": name, "in": "query", "description": about, "schema": { "type": kind } }));
    }
    let mut answers = Map::new();
    for (status, about) in route.answers {
        answers.insert(status.to_string(), json!({ "description": about }));
    }
    let problem =
        json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    answers.insert("default".to_owned(), json!({ "description": "A refusal", "content": problem }));
    let mut operation = json!({
        "operationId": operation_id(route), "tags": [route.tag], "summary": route.summary, "parameters": parameters,
        "responses": answers,
    });
    match route.who {
        Who::Anybody => operation["security"] = json!([]),
        Who::Outside => {
            operation["security"] = json!([]);
            operation["description"] =
                json!("For the outside system alone: what it sends is believed by its signature.");
        }
        Who::Key => operation["description"] = json!(format!("Needs the scope `{}`.", scope(route))),
    }
    if let Some(body) = route.body {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": body() } } });
    }
    operation
}

/// `get_v1_jobs_id`: stable for as long as the address is.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    format!("{}_{}", route.method.to_ascii_lowercase(), words.join("_"))
}

fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn scope(route: &Route) -> String {
    let method = Method::from_bytes(route.method.as_bytes()).unwrap_or(Method::GET);
    needed(&method, route.path).to_string()
}

fn problem() -> Value {
    json!({
        "type": "object", "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "description": "Its last part says which problem it is" },
            "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" },
            "request_id": { "type": "string" },
            "errors": { "type": "array", "items": { "type": "object", "properties": {
                "pointer": { "type": "string", "description": "RFC 6901, into the body" },
                "parameter": { "type": "string" }, "message": { "type": "string" } } } },
            "errors_omitted": { "type": "integer" },
        },
    })
}

/// `GET /docs`: the same for people, one page that needs nothing from elsewhere and no script.
pub async fn page(Given(door): Given<Door>) -> Response {
    let mut response = Html(page_of(&door)).into_response();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
 code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f3f5f7;padding:.75rem;overflow:auto}\
 h2{margin-top:2.5rem;border-bottom:1px solid #ccd4dc}summary{cursor:pointer;padding:.3rem 0}\
 .m{display:inline-block;min-width:4.2rem;font-weight:700}.s{color:#5b6a78}table{border-collapse:collapse}\
 td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}";

fn page_of(door: &FrontDoor) -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Windlass API</title>\
         <meta name=viewport content=\"width=device-width\"><style>{STYLE}</style><h1>Windlass API</h1>\
         <p>Version {}. The same for programs: <a href=\"/openapi.json\">/openapi.json</a>. A key is sent as \
         <code>Authorization: Bearer wl_…</code> or <code>X-Api-Key</code>. A refusal is a problem document; branch on the \
         last part of its <code>type</code>.</p>",
        env!("CARGO_PKG_VERSION")
    );
    for (tag, about) in routes::TAGS {
        let _ = write!(page, "<h2>{}</h2><p>{}</p>", escaped(tag), escaped(about));
        for route in routes().filter(|route| route.tag == *tag) {
            route_of(&mut page, route);
        }
    }
    page.push_str("<h2>Kinds of jobs</h2><p>What <code>payload</code> must be, by <code>kind</code>.</p>");
    for (name, schema) in door.kinds.schemas() {
        let schema = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(
            page,
            "<details><summary><code>{}</code></summary><pre>{}</pre></details>",
            escaped(name),
            escaped(&schema)
        );
    }
    page.push_str("</html>");
    page
}

fn route_of(page: &mut String, route: &Route) {
    let scope = match route.who {
        Who::Key => format!("scope {}", scope(route)),
        Who::Anybody => "no key".to_owned(),
        Who::Outside => "signed by the outside".to_owned(),
    };
    let _ = write!(
        page,
        "<details><summary><span class=m>{}</span> <code>{}</code> {} <span class=s>{}</span></summary><table>",
        route.method,
        escaped(route.path),
        escaped(route.summary),
        escaped(&scope)
    );
    for (name, kind, about) in route.query {
        let _ = write!(page, "<tr><td><code>?{name}=</code><td>{kind}<td>{}", escaped(about));
    }
    for (status, about) in route.answers {
        let _ = write!(page, "<tr><td>{status}<td><td>{}", escaped(about));
    }
    page.push_str("</table>");
    if let Some(body) = route.body {
        let schema = serde_json::to_string_pretty(&body()).unwrap_or_default();
        let _ = write!(page, "<pre>{}</pre>", escaped(&schema));
    }
    page.push_str("</details>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::front_door::{METRICS_PATHS, READY_PATHS};

    /// (method, path) of every `.route(…)` of the router's source, and of what is routed under several old names by its
    /// first one.
    fn routed() -> BTreeSet<(String, String)> {
        let source = include_str!("../front_door.rs");
        let several = [READY_PATHS[0], METRICS_PATHS[0]];
        let mut routes: BTreeSet<_> = several.map(|path| ("GET".to_owned(), path.to_owned())).into();
        for call in source.split(".route(").skip(1).filter(|call| !call.starts_with("path")) {
            let mut quoted = call.splitn(3, '"');
            let path = quoted.nth(1).unwrap_or_default().to_owned();
            let rest = quoted.next().unwrap_or_default();
            let end = rest.find('\n').unwrap_or(rest.len());
            for method in ["get", "post", "put", "patch", "delete"] {
                let makes = format!("{method}(");
                let here = rest[..end].match_indices(&makes).any(|(at, _)| {
                    !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                if here {
                    routes.insert((method.to_ascii_uppercase(), path.clone()));
                }
            }
        }
        routes
    }

    #[test]
    fn every_address_of_the_router_is_in_the_table_and_no_other() {
        let routed = routed();
        assert!(routed.len() > 25, "{} addresses: is the router still read?", routed.len());
        let told: BTreeSet<_> =
            routes().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        assert_eq!(told.len(), routes().count(), "an address stands in the table twice");
        assert_eq!(routed, told, "front_door.rs routes these, and openapi/routes.rs tells those");
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_a_known_tag() {
        let ids: BTreeSet<_> = routes().map(operation_id).collect();
        assert_eq!(ids.len(), routes().count());
        assert_eq!(in_path("/v1/jobs/{id}/why").collect::<Vec<_>>(), ["id"]);
        for route in routes() {
            assert!(routes::TAGS.iter().any(|(tag, _)| *tag == route.tag), "{}", route.path);
            assert!(!route.answers.is_empty() && !route.summary.is_empty(), "{}", route.path);
        }
    }
}

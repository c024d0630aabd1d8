//! The kinds of job as the door sees them: names, defaults and compiled schemas.
//!
//! Compiled once at start; a schema that does not compile stops the start. Runs no job and knows no context.

use std::collections::BTreeMap;

use anyhow::Context;
use axum::Json;
use axum::extract::State;
use jsonschema::error::ValidationErrorKind;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_engine::{AcceptedBy, JobKind, JobTable, Priority};

use super::Door;
use super::body::without_place;
use super::problem::Fault;

/// Faults of one payload that are collected; a payload of a megabyte can hold very many.
const PAYLOAD_FAULTS_MAX: usize = 1_000;
/// Fields named that a kind without fields was given.
const FIELDS_TOLD_MAX: usize = 5;
/// Names offered when a kind is not known.
const NEAR_NAMES_MAX: usize = 3;

/// The kinds that may be asked for, sorted by name.
pub struct Kinds(BTreeMap<&'static str, Kind>);

/// One kind.
pub struct Kind {
    pub name: &'static str,
    pub queue: &'static str,
    pub priority: Priority,
    pub attempts_max: u32,
    pub accepted_by: AcceptedBy,
    timeout_ms: u64,
    schema: Value,
    validator: jsonschema::Validator,
    unique_key: fn(&RawValue) -> Result<Option<String>, serde_json::Error>,
}

impl Kinds {
    /// Compiles the schemas of a table's kinds.
    pub fn of<C: Send + Sync + 'static>(table: &JobTable<C>) -> anyhow::Result<Self> {
        table.iter().map(|kind| Ok((kind.name, Kind::of(kind)?))).collect::<anyhow::Result<_>>().map(Self)
    }

    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.0.get(name)
    }

    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|kind| kind.queue)
    }

    /// Every kind's name and the schema of its payload.
    pub fn schemas(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, kind)| (*name, &kind.schema))
    }

    /// Known names that `name` may be a slip of, the nearest first.
    pub fn near(&self, name: &str) -> Vec<&'static str> {
        near(name, self.0.keys().copied())
    }
}

impl Kind {
    fn of<C: Send + Sync + 'static>(kind: &JobKind<C>) -> anyhow::Result<Self> {
        let schema = serde_json::to_value((kind.schema)()).context("a schema is JSON")?;
        let validator = jsonschema::validator_for(&schema)
            .with_context(|| format!("the schema of kind {} does not compile", kind.name))?;
        Ok(Self {
            name: kind.name,
            queue: kind.queue,
            priority: kind.priority,
            attempts_max: kind.attempts_max,
            accepted_by: kind.accepted_by,
            timeout_ms: u64::try_from(kind.timeout.as_millis()).unwrap_or(u64::MAX),
            schema,
            validator,
            unique_key: kind.unique_key,
        })
    }

    /// The unique key that the kind itself gives the payload, or every fault of the payload. Pointers start at
    /// `/payload`.
    pub fn check(&self, raw: &RawValue, payload: &Value) -> Result<Option<String>, Vec<Fault>> {
        if !self.validator.is_valid(payload) {
            return Err(self
                .validator
                .iter_errors(payload)
                .take(PAYLOAD_FAULTS_MAX)
                .map(|e| Fault::at(format!("/payload{}", e.instance_path()), said(&e, payload)))
                .collect());
        }
        // A schema cannot say everything that the type demands: what does not decode here would be dead later.
        (self.unique_key)(raw)
            .map_err(|e| vec![Fault::at("/payload", format!("is no {}: {}", self.name, without_place(&e)))])
    }

    fn told(&self) -> Value {
        json!({
            "kind": self.name,
            "queue": self.queue,
            "priority": self.priority,
            "max_attempts": self.attempts_max,
            "timeout_ms": self.timeout_ms,
            "accepted_by": self.accepted_by,
            "schema": self.schema,
        })
    }
}

/// The fault without the value that has it: that may be a customer's.
fn said(fault: &jsonschema::ValidationError<'_>, payload: &Value) -> String {
    match (fault.kind(), payload) {
        // So jsonschema says of a field where the schema has none.
        (ValidationErrorKind::FalseSchema, Value::Object(fields)) => {
            let names: Vec<_> = fields.keys().take(FIELDS_TOLD_MAX).map(|name| format!("'{name}'")).collect();
            format!(
                "Additional properties are not allowed: this kind has no fields, and there is {}",
                names.join(", ")
            )
        }
        _ => fault.masked_with("this").to_string(),
    }
}

/// `GET /v1/kinds`
pub async fn list(State(door): State<Door>) -> Json<Value> {
    Json(json!({ "kinds": door.kinds.0.values().map(Kind::told).collect::<Vec<_>>() }))
}

/// Names within a few slips of `name`, the nearest first.
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let slips_max = (name.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<_> = known
        .map(|known| (distance(name, known), known))
        .filter(|(slips, known)| *slips <= slips_max || (name.len() >= 4 && known.contains(name)))
        .collect();
    near.sort_unstable();
    near.into_iter().take(NEAR_NAMES_MAX).map(|(_, known)| known).collect()
}

/// Levenshtein's distance, of names cut at a length that no known name has.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_name_and_nonsense_finds_none() {
        let known = ["fulfil_order", "cancel_order", "sleep", "noop"];
        assert_eq!(near("fulfill_order", known.into_iter()), ["fulfil_order"]);
        assert_eq!(near("nop", known.into_iter()), ["noop"]);
        assert_eq!(near("order", known.into_iter()), ["cancel_order", "fulfil_order"]);
        assert!(near("xyzzy", known.into_iter()).is_empty());
    }

    #[test]
    fn distance_counts_slips() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("订单", "订"), 1);
    }
}

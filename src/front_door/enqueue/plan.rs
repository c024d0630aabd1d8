//! From a request's JSON to a job that can be stored, or to everything that is wrong with it.
//!
//! Pure but for the clock. Stores nothing, and does not know whether the job is there already.

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;
use windlass_engine::store::ENVELOPE_BYTES_MAX;
use windlass_engine::{AcceptedBy, JobId, NewJob};

use super::wanted::{Due, FIELDS, Wanted, hash};
use crate::front_door::FrontDoor;
use crate::front_door::body::{Fields, escaped, too_large};
use crate::front_door::caller::Caller;
use crate::front_door::kinds::near;
use crate::front_door::problem::{Fault, Kind as ProblemKind, Problem};

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Bytes of an envelope beside its payload: kind, tags and the like, with their bounds above.
const ENVELOPE_REST_BYTES_MAX: usize = 16 * 1024;

/// A job that may be stored.
#[derive(Debug)]
pub struct Planned {
    pub job: NewJob,
    pub accepted_by: AcceptedBy,
    pub name: Named,
    pub due: Due,
    /// Faults that only the clock made. A repeat of a request that was accepted in its time has them too, and
    /// is answered as it was then.
    pub late: Vec<Fault>,
}

/// Where the job's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It is fresh: nothing can be there under it.
    ByUs,
    /// The caller chose it.
    ById,
    /// It is derived from the request's `Idempotency-Key`.
    ByKey,
}

/// Plans the job that one JSON object asks for.
pub fn plan(door: &FrontDoor, caller: &Caller, headers: &HeaderMap, text: &[u8]) -> Result<Planned, Problem> {
    let mut fields = Fields::parse(text)?;
    let mut faults = Vec::new();
    let kind_name: Option<String> = fields.take("kind", &mut faults);
    let raw = fields.raw("payload").map_or_else(empty_payload, ToOwned::to_owned);
    let wanted = Wanted::of(&mut fields, &mut faults);
    fields.end(&FIELDS, &mut faults);
    let key = idempotency_key(headers, &mut faults);

    let Some(kind_name) = kind_name else {
        if !faults.iter().any(|fault| fault.pointer.as_deref() == Some("/kind")) {
            faults.push(Fault::at("/kind", "is missing"));
        }
        return Err(Problem::new(ProblemKind::Invalid, "A job needs a kind.").faults(faults));
    };
    let kind = door.kinds.get(&kind_name).ok_or_else(|| unknown_kind(door, &kind_name))?;
    caller.must_hand_in(&kind_name)?;
    if let Some(queue) = wanted.queue.as_deref().filter(|queue| !door.knows_queue(queue)) {
        return Err(unknown_queue(door, queue));
    }
    wanted.check_bounds(&mut faults);
    let name = wanted.named(key.as_deref(), &mut faults);

    let payload: Value = serde_json::from_str(raw.get()).unwrap_or_else(|e| {
        faults.push(Fault::at("/payload", e.to_string()));
        Value::Null
    });
    find_nul(&payload, &mut "/payload".to_owned(), &mut faults);
    if !faults.is_empty() {
        return Err(Problem::new(ProblemKind::Invalid, "See `errors`.").faults(faults));
    }
    let own_key = kind.check(&raw, &payload).map_err(|faults| {
        let detail = format!("See `errors`, and GET /v1/kinds for the schema of {}.", kind.name);
        Problem::new(ProblemKind::InvalidPayload, detail).faults(faults)
    })?;
    if raw.get().len() > ENVELOPE_BYTES_MAX - ENVELOPE_REST_BYTES_MAX {
        return Err(too_large(ENVELOPE_BYTES_MAX - ENVELOPE_REST_BYTES_MAX));
    }

    let now = door.clock.now();
    let (due, late) = (wanted.due(), wanted.late(now));
    let fingerprint = (name != Named::ByUs).then(|| wanted.fingerprint(&kind_name, &payload));
    let id = match (&wanted.id, key) {
        (Some(id), _) => JobId::parse(id.as_str()).map_err(Problem::internal)?,
        (None, Some(key)) => id_of_key(caller.id(), &key),
        (None, None) => JobId::new(door.clock.now()),
    };
    let job = wanted.into_job(kind, id, own_key, fingerprint, raw, now);
    Ok(Planned { job, accepted_by: kind.accepted_by, name, due, late })
}

fn empty_payload() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("{} is JSON")
}

/// U+0000 fits into JSON and into no column of PostgreSQL.
fn find_nul(value: &Value, pointer: &mut String, faults: &mut Vec<Fault>) {
    let at = pointer.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            faults.push(Fault::at(pointer.as_str(), "must not hold the character U+0000"));
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{n}"));
                find_nul(item, pointer, faults);
                pointer.truncate(at);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&escaped(name));
                if name.contains('\0') {
                    faults
                        .push(Fault::at(pointer.as_str(), "must not have the character U+0000 in its name"));
                }
                find_nul(member, pointer, faults);
                pointer.truncate(at);
            }
        }
        _ => {}
    }
}

fn idempotency_key(headers: &HeaderMap, faults: &mut Vec<Fault>) -> Option<String> {
    let value = headers.get(&IDEMPOTENCY_KEY)?;
    let key = value.to_str().unwrap_or_default();
    let fits = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len());
    if !fits {
        let message = format!("must have 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters");
        faults.push(Fault::of("Idempotency-Key", message));
    }
    Some(key.to_owned())
}

/// The same key of one caller always means the same job; those of two callers never meet.
fn id_of_key(caller: Option<&str>, key: &str) -> JobId {
    let key = hash(key.as_bytes());
    match caller {
        Some(caller) => JobId::derived(&["key", caller, &key]),
        None => JobId::derived(&["key", &key]),
    }
}

fn unknown_kind(door: &FrontDoor, name: &str) -> Problem {
    let near = door.kinds.near(name);
    let hint = if near.is_empty() {
        "GET /v1/kinds lists those that there are".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    let shown: String = name.chars().take(100).collect();
    Problem::new(ProblemKind::UnknownKind, format!("No kind is called {shown:?}."))
        .faults(vec![Fault::at("/kind", hint)])
}

fn unknown_queue(door: &FrontDoor, name: &str) -> Problem {
    let near = near(name, door.queues_known());
    let hint = if near.is_empty() {
        format!("there are {}", door.queues_known().collect::<Vec<_>>().join(", "))
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    let shown: String = name.chars().take(100).collect();
    Problem::new(ProblemKind::UnknownQueue, format!("No queue is called {shown:?}."))
        .faults(vec![Fault::at("/queue", hint)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        let value: Value = serde_json::from_str(r#"{"a": ["x", {"b/c": "\u0000"}], "\u0000": 1}"#).unwrap();
        let mut faults = Vec::new();
        find_nul(&value, &mut "/payload".to_owned(), &mut faults);
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(pointers, ["/payload/\0", "/payload/a/1/b~1c"]);
    }

    #[test]
    fn a_key_always_names_the_same_job() {
        assert_eq!(id_of_key(None, "order 1001"), id_of_key(None, "order 1001"));
        assert_ne!(id_of_key(None, "order 1001"), id_of_key(None, "order 1002"));
    }

    #[test]
    fn the_keys_of_two_callers_never_meet() {
        let (one, two) = (id_of_key(Some("a1"), "order 1001"), id_of_key(Some("b2"), "order 1001"));
        assert_ne!(one, two);
        assert_ne!(one, id_of_key(None, "order 1001"));
        assert_eq!(one, id_of_key(Some("a1"), "order 1001"));
    }
}

//! From a request's JSON to a job that can be stored, or to everything that is wrong with it.
//!
//! Pure but for the clock. Stores nothing, and does not know whether the job is there already.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;
use windlass_engine::store::ENVELOPE_BYTES_MAX;
use windlass_engine::{AcceptedBy, Envelope, JobId, NewJob, Priority, State, Timestamp, Unique};

use crate::front_door::FrontDoor;
use crate::front_door::body::{Fields, escaped, too_large};
use crate::front_door::kinds::{Kind, near};
use crate::front_door::problem::{Fault, Kind as ProblemKind, Problem};

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A due time that lies further back is a mistake; one that lies less far back means now.
pub const RUN_AT_PAST_MAX: Duration = Duration::from_secs(5 * 60);
/// How far ahead a job may be planned.
pub const RUN_AT_AHEAD_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);
pub const MAX_ATTEMPTS_MAX: u32 = 1_000;
pub const UNIQUE_KEY_CHARS_MAX: usize = 200;
pub const TAGS_MAX: usize = 20;
pub const TAG_CHARS_MAX: usize = 100;
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Bytes of an envelope beside its payload: kind, tags and the like, with their bounds above.
const ENVELOPE_REST_BYTES_MAX: usize = 16 * 1024;

/// `/v1/jobs/` with one of these behind it is another address: nobody could ask for the job.
const RESERVED_IDS: [&str; 4] = [".", "..", "batch", "actions"];

const FIELDS: [&str; 11] = [
    "kind",
    "payload",
    "id",
    "queue",
    "priority",
    "run_at",
    "delay_seconds",
    "max_attempts",
    "unique_key",
    "deadline",
    "tags",
];

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

/// When the request wants the job to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Now,
    At(Timestamp),
    Later,
}

impl Due {
    /// The state of such a job in the moment that it was accepted.
    pub fn state_at(self, created_at: Timestamp) -> State {
        match self {
            Self::Now => State::Ready,
            Self::At(at) if at <= created_at => State::Ready,
            Self::At(_) | Self::Later => State::Scheduled,
        }
    }
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

/// The fields as the request has them: what is not given is not filled in, so that a change of defaults does
/// not make a repeat another request.
#[derive(Debug, Default)]
struct Wanted {
    id: Option<String>,
    queue: Option<String>,
    priority: Option<Priority>,
    run_at: Option<Timestamp>,
    delay_seconds: Option<f64>,
    max_attempts: Option<u32>,
    unique_key: Option<String>,
    deadline: Option<Timestamp>,
    tags: Option<Vec<String>>,
}

/// Plans the job that one JSON object asks for.
pub fn plan(door: &FrontDoor, headers: &HeaderMap, text: &[u8]) -> Result<Planned, Problem> {
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
        (None, Some(key)) => id_of_key(&key),
        (None, None) => JobId::new(door.clock.now()),
    };
    let job = wanted.into_job(kind, id, own_key, fingerprint, traceparent(headers), raw, now);
    Ok(Planned { job, accepted_by: kind.accepted_by, name, due, late })
}

impl Wanted {
    fn of(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            id: fields.take("id", faults),
            queue: fields.take("queue", faults),
            priority: fields.take("priority", faults),
            run_at: instant(fields, "run_at", faults),
            delay_seconds: fields.take("delay_seconds", faults),
            max_attempts: fields.take("max_attempts", faults),
            unique_key: fields.take("unique_key", faults),
            deadline: instant(fields, "deadline", faults),
            tags: fields.take("tags", faults),
        }
    }

    fn check_bounds(&self, faults: &mut Vec<Fault>) {
        let mut fault = |pointer: &str, message: String| faults.push(Fault::at(pointer, message));
        if self.run_at.is_some() && self.delay_seconds.is_some() {
            fault("/delay_seconds", "give run_at or delay_seconds, not both".to_owned());
        }
        let delay_max = RUN_AT_AHEAD_MAX.as_secs();
        if self.delay_seconds.is_some_and(|s| !(0.0..=delay_max as f64).contains(&s)) {
            fault("/delay_seconds", format!("must be between 0 and {delay_max}"));
        }
        if self.max_attempts.is_some_and(|n| !(1..=MAX_ATTEMPTS_MAX).contains(&n)) {
            fault("/max_attempts", format!("must be between 1 and {MAX_ATTEMPTS_MAX}"));
        }
        if let Some(why) = self.unique_key.as_deref().and_then(|key| unfit(key, UNIQUE_KEY_CHARS_MAX)) {
            fault("/unique_key", why);
        }
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.len() > TAGS_MAX {
            fault("/tags", format!("at most {TAGS_MAX}"));
        }
        for (at, tag) in tags.iter().take(TAGS_MAX).enumerate() {
            if let Some(why) = unfit(tag, TAG_CHARS_MAX) {
                fault(&format!("/tags/{at}"), why);
            }
        }
    }

    fn named(&self, key: Option<&str>, faults: &mut Vec<Fault>) -> Named {
        match (&self.id, key) {
            (Some(_), Some(_)) => {
                faults.push(Fault::at("/id", "give an id or the header Idempotency-Key, not both"));
                Named::ById
            }
            (Some(id), None) => {
                if RESERVED_IDS.contains(&id.as_str()) {
                    faults.push(Fault::at("/id", format!("must not be one of {}", RESERVED_IDS.join(" "))));
                } else if let Err(e) = JobId::parse(id.as_str()) {
                    faults.push(Fault::at("/id", e.to_string()));
                }
                Named::ById
            }
            (None, Some(_)) => Named::ByKey,
            (None, None) => Named::ByUs,
        }
    }

    /// Faults that a later repeat of the same request may have although the first had not.
    fn late(&self, now: Timestamp) -> Vec<Fault> {
        let mut late = Vec::new();
        if let Some(at) = self.run_at {
            if now.since(at) > RUN_AT_PAST_MAX {
                late.push(Fault::at("/run_at", format!("is past; it is {now} now")));
            } else if at.since(now) > RUN_AT_AHEAD_MAX {
                late.push(Fault::at("/run_at", format!("is too far ahead; it is {now} now")));
            }
        }
        let due_at = self.due_at(now).unwrap_or(now);
        if self.deadline.is_some_and(|deadline| deadline < due_at) {
            late.push(Fault::at("/deadline", format!("lies before the job is due, at {due_at}")));
        }
        late
    }

    fn due(&self) -> Due {
        match (self.run_at, self.delay_seconds) {
            (Some(at), _) => Due::At(at),
            (None, Some(delay)) if delay > 0.0 => Due::Later,
            (None, _) => Due::Now,
        }
    }

    /// None: now.
    fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let delayed = self.delay_seconds.filter(|s| *s > 0.0).map(|s| now + Duration::from_secs_f64(s));
        self.run_at.filter(|at| *at > now).or(delayed)
    }

    /// Tells this request from any other that has the same id.
    fn fingerprint(&self, kind: &str, payload: &Value) -> String {
        let whole = serde_json::json!([
            kind,
            payload,
            self.queue,
            self.priority,
            self.run_at,
            self.delay_seconds,
            self.max_attempts,
            self.unique_key,
            self.deadline,
            self.tags,
        ]);
        hash(whole.to_string().as_bytes())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one job, each found by another step")]
    fn into_job(
        self,
        kind: &Kind,
        id: JobId,
        own_key: Option<String>,
        fingerprint: Option<String>,
        traceparent: Option<String>,
        payload: Box<RawValue>,
        now: Timestamp,
    ) -> NewJob {
        let run_at = self.due_at(now);
        NewJob {
            id,
            queue: self.queue.unwrap_or_else(|| kind.queue.to_owned()),
            priority: self.priority.unwrap_or(kind.priority),
            run_at,
            unique: self.unique_key.or(own_key).map(|key| Unique { key, window: None }),
            deadline_at: self.deadline,
            envelope: Envelope {
                attempts_max: self.max_attempts,
                tags: self.tags.unwrap_or_default(),
                traceparent,
                enqueued_by: Some("api".to_owned()),
                fingerprint,
                ..Envelope::new(kind.name, payload)
            },
        }
    }
}

fn empty_payload() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("{} is JSON")
}

fn instant(fields: &mut Fields<'_>, name: &str, faults: &mut Vec<Fault>) -> Option<Timestamp> {
    let text: String = fields.take(name, faults)?;
    Timestamp::parse_rfc3339(&text)
        .map_err(|e| {
            let message = format!("must be RFC 3339, such as 2026-01-05T12:00:00+08:00: {e}");
            faults.push(Fault::at(format!("/{name}"), message));
        })
        .ok()
}

/// Why a key or tag cannot be taken.
fn unfit(text: &str, chars_max: usize) -> Option<String> {
    if text.is_empty() || text.chars().count() > chars_max {
        Some(format!("must have 1 to {chars_max} characters"))
    } else if text.contains(char::is_control) {
        Some("must not hold control characters".to_owned())
    } else {
        None
    }
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

/// The same key always means the same job.
fn id_of_key(key: &str) -> JobId {
    JobId::derived(&["key", &hash(key.as_bytes())])
}

/// The first half of SHA-256, in hex: 32 characters.
fn hash(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// W3C trace context, version 00; anything else is left out.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (lengths == [2, 32, 16, 2] && hex).then(|| text.to_owned())
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
    fn the_order_of_an_objects_members_does_not_change_its_fingerprint() {
        let one: Value = serde_json::from_str(r#"{"a": 1, "b": [1, 2.50]}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":[1,2.5],"a":1}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b":[2.5,1],"a":1}"#).unwrap();
        let print = |payload| Wanted::default().fingerprint("noop", payload);
        assert_eq!(print(&one), print(&two));
        assert_ne!(print(&one), print(&other));
        assert_eq!(print(&one).len(), 32);
    }

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        let value: Value = serde_json::from_str(r#"{"a": ["x", {"b/c": "\u0000"}], "\u0000": 1}"#).unwrap();
        let mut faults = Vec::new();
        find_nul(&value, &mut "/payload".to_owned(), &mut faults);
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(pointers, ["/payload/\0", "/payload/a/1/b~1c"]);
    }

    #[test]
    fn a_time_just_past_means_now_and_one_long_past_is_a_fault() {
        let now = Timestamp::from_secs(1_000_000);
        let asked = |ago_s| Wanted { run_at: Some(now - Duration::from_secs(ago_s)), ..Wanted::default() };
        assert_eq!((asked(299).due_at(now), asked(299).late(now).len()), (None, 0));
        assert_eq!(asked(301).late(now).len(), 1);
    }

    #[test]
    fn a_key_always_names_the_same_job() {
        assert_eq!(id_of_key("order 1001"), id_of_key("order 1001"));
        assert_ne!(id_of_key("order 1001"), id_of_key("order 1002"));
    }
}

//! What one request asks for beside its kind and payload: the fields, their bounds, and what they make of a job.
//!
//! Pure. Looks nothing up and knows no payload's schema.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use windlass_engine::{Envelope, JobId, NewJob, Priority, State, Timestamp, Unique};

use super::plan::Named;
use crate::front_door::body::Fields;
use crate::front_door::kinds::Kind;
use crate::front_door::problem::Fault;

/// A due time that lies further back is a mistake; one that lies less far back means now.
pub const RUN_AT_PAST_MAX: Duration = Duration::from_secs(5 * 60);
/// How far ahead a job may be planned.
pub const RUN_AT_AHEAD_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);
pub const MAX_ATTEMPTS_MAX: u32 = 1_000;
pub const UNIQUE_KEY_CHARS_MAX: usize = 200;
pub const TAGS_MAX: usize = 20;
pub const TAG_CHARS_MAX: usize = 100;
/// `/v1/jobs/` with one of these behind it is another address: nobody could ask for the job.
const RESERVED_IDS: [&str; 4] = [".", "..", "batch", "actions"];

/// The fields that a request may have.
pub const FIELDS: [&str; 11] = [
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

/// The fields as the request has them: what is not given is not filled in, so that a change of defaults does
/// not make a repeat another request.
#[derive(Debug, Default)]
pub struct Wanted {
    pub id: Option<String>,
    pub queue: Option<String>,
    priority: Option<Priority>,
    run_at: Option<Timestamp>,
    delay_seconds: Option<f64>,
    max_attempts: Option<u32>,
    unique_key: Option<String>,
    deadline: Option<Timestamp>,
    tags: Option<Vec<String>>,
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

impl Wanted {
    pub fn of(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Self {
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

    pub fn check_bounds(&self, faults: &mut Vec<Fault>) {
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

    pub fn named(&self, key: Option<&str>, faults: &mut Vec<Fault>) -> Named {
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
    pub fn late(&self, now: Timestamp) -> Vec<Fault> {
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

    pub fn due(&self) -> Due {
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
    pub fn fingerprint(&self, kind: &str, payload: &Value) -> String {
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

    pub fn into_job(
        self,
        kind: &Kind,
        id: JobId,
        own_key: Option<String>,
        fingerprint: Option<String>,
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
                enqueued_by: Some("api".to_owned()),
                fingerprint,
                ..Envelope::new(kind.name, payload)
            },
        }
    }
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

/// The first half of SHA-256, in hex: 32 characters.
pub fn hash(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn a_time_just_past_means_now_and_one_long_past_is_a_fault() {
        let now = Timestamp::from_secs(1_000_000);
        let asked = |ago_s| Wanted { run_at: Some(now - Duration::from_secs(ago_s)), ..Wanted::default() };
        assert_eq!((asked(299).due_at(now), asked(299).late(now).len()), (None, 0));
        assert_eq!(asked(301).late(now).len(), 1);
    }
}

//! What is stored of a job, as text: its record, the tries it has used, its id.
//!
//! `lua/README.md` describes the form. Scripts read no further than the first line; the rest is opaque to them.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::envelope::Unique;
use crate::id::JobId;
use crate::job::{Priority, State};
use crate::store::JobFault;
use crate::store::prepared::{Prepared, bounded};

/// The form of an id in the store: 22 characters for a canonical UUID, since 36 cost the server 30 bytes more a job.
pub(super) fn stored_id(id: &JobId) -> String {
    let text = id.as_str();
    match uuid::Uuid::try_parse(text) {
        Ok(uuid) if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) => {
            BASE64_URL_SAFE_NO_PAD.encode(uuid.as_bytes())
        }
        _ => format!("~{text}"),
    }
}

pub(super) fn id_of(stored: &str) -> Option<JobId> {
    if let Some(text) = stored.strip_prefix('~') {
        return JobId::parse(text).ok();
    }
    // As many as 22 characters may stand for: what is longer is none of ours.
    let mut bytes = [0; 18];
    let n = BASE64_URL_SAFE_NO_PAD.decode_slice(stored, &mut bytes).ok()?;
    uuid::Uuid::from_slice(&bytes[..n]).ok().map(JobId::from)
}

/// A name as part of a key or of a first line: control characters, spaces and `%` escaped.
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b > b' ' && b != b'%' && b != 0x7f;
    if name.bytes().all(plain) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_ascii() && !plain(c as u8) {
            let _ = write!(out, "%{:02X}", c as u8);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

pub(super) fn unescaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        match rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The unique key as the store knows it: of one kind.
pub(super) fn key_name(kind: &str, key: &str) -> String {
    format!("{}:{}", escaped(kind), escaped(key))
}

/// The record of a job that waits. `due`: when it is to run; None: now.
pub(super) fn waiting(job: &Prepared, now: Timestamp, due: Option<Timestamp>) -> String {
    let mut out = String::with_capacity(job.envelope.len() + 96);
    let _ = write!(out, "w{}\t{}\t", job.priority as u8, escaped(&job.queue));
    if let Some(Unique { key, window }) = &job.unique {
        out.push(if window.is_some() { 'w' } else { 'k' });
        out.push_str(&key_name(&job.kind, key));
    }
    let _ = write!(out, "\t{}\t{}\t", now.micros(), due.unwrap_or(now).micros());
    if let Some(deadline) = job.deadline_at {
        let _ = write!(out, "{}", deadline.micros());
    }
    let (from, to) = payload_of(&job.envelope).unwrap_or_default();
    let _ = writeln!(out, "\t{from}:{to}");
    out.push_str(&job.envelope);
    out
}

/// Where the payload stands in the text of an envelope: noted once, so that what becomes of the job later need not
/// read the whole again.
fn payload_of(envelope: &str) -> Option<(usize, usize)> {
    #[derive(serde::Deserialize)]
    struct Read<'e> {
        #[serde(borrow)]
        payload: &'e RawValue,
    }
    let Read { payload } = serde_json::from_str::<Read<'_>>(envelope).ok()?;
    // It is a slice of the text it was read from.
    let from = payload.get().as_ptr() as usize - envelope.as_ptr() as usize;
    Some((from, from + payload.get().len()))
}

/// The first line of a record, read.
#[derive(Clone, Debug)]
pub(super) struct Record<'r> {
    pub priority: Priority,
    /// As it is stored.
    pub queue: &'r str,
    /// With its first letter, which tells a plain key from a window; empty when there is none.
    pub unique: &'r str,
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    pub deadline_at: Option<Timestamp>,
    /// Where the payload stands in the envelope; nowhere when it is empty.
    payload: (usize, usize),
    pub end: Option<Completion<'r>>,
    pub envelope: &'r str,
}

/// What a completed job's record tells beside.
#[derive(Clone, Debug)]
pub(super) struct Completion<'r> {
    pub finished_at: Timestamp,
    pub attempt: u32,
    pub crashes: u32,
    pub worker: &'r str,
    pub result: Option<&'r str>,
}

impl<'r> Record<'r> {
    /// None: no record of ours.
    pub fn read(text: &'r str) -> Option<Self> {
        let (line, body) = text.split_once('\n')?;
        let mut fields = line.split('\t');
        let priority = fields.next()?.get(1..)?;
        let priority = priority.parse().ok().and_then(|n: usize| Priority::ALL.get(n).copied())?;
        let (queue, unique) = (fields.next()?, fields.next()?);
        let mut time = || fields.next()?.parse().ok().map(Timestamp::from_micros);
        let (created_at, due_at) = (time()?, time()?);
        let deadline_at = fields.next()?.parse().ok().map(Timestamp::from_micros);
        let (from, to) = fields.next()?.split_once(':')?;
        let payload = (from.parse().ok()?, to.parse().ok()?);
        let (mut end, mut envelope) = (None, body);
        if let Some(finished) = fields.next() {
            let finished_at = finished.parse().ok().map(Timestamp::from_micros)?;
            let (attempt, crashes) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let worker = fields.next()?;
            let (result, rest) = body.split_at_checked(fields.next()?.parse().ok()?)?;
            envelope = rest;
            end = Some(Completion {
                finished_at,
                attempt,
                crashes,
                worker,
                result: (!result.is_empty()).then_some(result),
            });
        }
        Some(Self { priority, queue, unique, created_at, due_at, deadline_at, payload, end, envelope })
    }

    pub fn unique_key(&self) -> Option<String> {
        let name = self.unique.get(1..)?;
        let (_, key) = name.split_once(':')?;
        Some(unescaped(key))
    }
}

/// The id of a job as it is stored, the first fields of its record, which the record of its completion begins with, and its
/// envelope without the payload.
#[derive(Clone, Debug)]
pub(super) struct Slim {
    /// The id, what of the record's first line comes after the state, then the envelope.
    text: Box<str>,
    id: usize,
    /// Where the envelope begins.
    envelope: usize,
    /// The plain unique key that the job holds, with its letter.
    pub unique: Option<Box<str>>,
}

impl Slim {
    /// Of a record that was read from `text`.
    pub fn of(stored: &str, record: &Record<'_>, text: &str) -> Option<Self> {
        let head = text.get(1..text.len() - record.envelope.len() - 1)?;
        let (before, after) = match record.payload {
            (0, 0) => (record.envelope, ""),
            (from, to) => (record.envelope.get(..from)?, record.envelope.get(to..)?),
        };
        let payload = if after.is_empty() { "" } else { "null" };
        let unique = record.unique.starts_with('k').then(|| record.unique.into());
        let text = [stored, head, before, payload, after].concat().into();
        Some(Self { text, id: stored.len(), envelope: stored.len() + head.len(), unique })
    }

    pub fn stored_id(&self) -> &str {
        &self.text[..self.id]
    }

    /// The record of the completed job, in pieces. `tail`: see [`finish`].
    pub fn completed<'s>(&'s self, tail: &'s str, result: &'s str) -> [&'s str; 5] {
        let (head, envelope) = self.text[self.id..].split_at(self.envelope - self.id);
        ["c", head, tail, result, envelope]
    }
}

/// The end of the first line of a completed job's record. `worker` as it is stored.
pub(super) fn finish(now: Timestamp, attempt: u32, crashes: u32, worker: &str, result: &str) -> String {
    format!("\t{}\t{attempt}\t{crashes}\t{worker}\t{}\n", now.micros(), result.len())
}

/// Attempts used, crashes, when it is due again, and who had it last: of a job that came back or ended badly.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries<'t> {
    pub attempts: u32,
    pub crashes: u32,
    pub due_at: Option<Timestamp>,
    pub worker: Option<&'t str>,
}

impl<'t> Tries<'t> {
    pub fn read(text: &'t str) -> Option<Self> {
        let mut fields = text.splitn(4, ':');
        Some(Self {
            attempts: fields.next()?.parse().ok()?,
            crashes: fields.next()?.parse().ok()?,
            due_at: fields.next()?.parse().ok().map(Timestamp::from_micros),
            worker: fields.next().filter(|worker| !worker.is_empty()),
        })
    }
}

/// A fault as one line of JSON.
pub(super) fn fault(fault: &JobFault) -> String {
    serde_json::to_string(&bounded(fault)).expect("a fault is plain data")
}

/// A state by the name that the scripts give it.
pub(super) fn state(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::Envelope;

    proptest! {
        #[test]
        fn every_id_reads_back_as_it_was(text in "[A-Za-z0-9._:/-]{1,64}") {
            let id = JobId::parse(text).unwrap();
            prop_assert_eq!(id_of(&stored_id(&id)), Some(id));
        }

        #[test]
        fn every_name_reads_back_and_breaks_no_line(name in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let stored = escaped(&name);
            prop_assert!(!stored.bytes().any(|b| b <= b' '));
            prop_assert_eq!(unescaped(&stored), name);
        }
    }

    #[test]
    fn only_the_canonical_form_of_a_uuid_is_shortened() {
        let canonical = "0191d3a4-2f6b-7c3e-8d51-0a1b2c3d4e5f";
        let short = |text: &str| stored_id(&JobId::parse(text).unwrap()).len() == 22;
        assert!(short(canonical));
        assert!(!short(&canonical.to_uppercase()));
        assert!(!short(&canonical.replace('-', "")));
    }

    #[test]
    fn a_completed_record_keeps_all_but_the_payload() {
        let payload = serde_json::value::to_raw_value(&serde_json::json!({ "a": "line\nbreak" })).unwrap();
        let mut envelope = Envelope::new("toy", payload);
        envelope.tags.push("order:7".into());
        let job = Prepared {
            id: JobId::parse("a").unwrap(),
            queue: "a\tqueue".into(),
            kind: "toy".into(),
            priority: Priority::High,
            run_at: None,
            deadline_at: Some(Timestamp::from_secs(9)),
            unique: Some(Unique { key: "k\n1".into(), window: None }),
            envelope: envelope.to_json(),
        };
        let waiting = waiting(&job, Timestamp::from_secs(5), None);
        let slim = Slim::of("~a", &Record::read(&waiting).unwrap(), &waiting).unwrap();
        assert_eq!(slim.stored_id(), "~a");
        let result = "{\"sn\":7}";
        let text =
            slim.completed(&finish(Timestamp::from_secs(8), 2, 1, &escaped("w 1"), result), result).concat();
        let read = Record::read(&text).unwrap();
        assert_eq!((read.priority, unescaped(read.queue)), (Priority::High, "a\tqueue".to_owned()));
        assert_eq!(read.unique_key().as_deref(), Some("k\n1"));
        assert_eq!((read.created_at, read.deadline_at), (Timestamp::from_secs(5), job.deadline_at));
        let end = read.end.unwrap();
        assert_eq!((end.finished_at, end.attempt, end.crashes), (Timestamp::from_secs(8), 2, 1));
        assert_eq!((unescaped(end.worker), end.result), ("w 1".to_owned(), Some("{\"sn\":7}")));
        let envelope = crate::store::prepared::envelope(read.envelope, None);
        assert_eq!((envelope.payload.get(), envelope.tags), ("null", vec!["order:7".to_owned()]));
    }
}

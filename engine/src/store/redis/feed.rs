//! What happened, and who works.

use std::time::Duration;

use redis::Value;

use super::record::{id_of, state, unescaped};
use super::reply::Reply;
use super::script;
use super::shared::Shared;
use crate::store::{Event, StoreError, WorkerBeat};

/// Bits of an event's number that count within one millisecond.
const WITHIN_MS_BITS: u32 = 20;
/// Entries in one answer.
const EVENTS_MAX: u32 = 1_000;

/// Events after the number: it is the entry's time in milliseconds and its count within that.
pub(super) async fn events(shared: &Shared, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
    let from = match after {
        0 => "-".to_owned(),
        _ => format!("({}-{}", after >> WITHIN_MS_BITS, after & ((1 << WITHIN_MS_BITS) - 1)),
    };
    let mut cmd = redis::cmd("XRANGE");
    cmd.arg(format!("{}ev", shared.prefix)).arg(from).arg("+").arg("COUNT").arg(limit.min(EVENTS_MAX));
    let reply = Reply::of("XRANGE");
    let entries = reply.list(shared.link.ask(&cmd).await?)?;
    entries.into_iter().map(|entry| event(&reply, entry)).collect()
}

fn event(reply: &Reply, entry: Value) -> Result<Event, StoreError> {
    let mut parts = reply.list(entry)?.into_iter();
    let mut next = || parts.next().ok_or_else(|| reply.wrong());
    let (number, fields) = (reply.text(next()?)?, reply.pairs(next()?)?);
    let read = || -> Option<Event> {
        let (ms, n) = number.split_once('-')?;
        let of = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        Some(Event {
            seq: ms.parse::<u64>().ok()?.checked_shl(WITHIN_MS_BITS)? | n.parse::<u64>().ok()?,
            at: reply.time(of("a")?).ok()?,
            queue: unescaped(of("q")?),
            state: state(of("s")?)?,
            ids: of("i").unwrap_or_default().split_whitespace().filter_map(id_of).collect(),
            count: of("c")?.parse().ok()?,
        })
    };
    read().ok_or_else(|| reply.wrong())
}

pub(super) async fn beat(shared: &Shared, beat: &WorkerBeat) -> Result<(), StoreError> {
    let mut call = shared.call(&script::BEAT);
    call.text(&beat.name).text(&serde_json::to_string(beat).expect("a beat is plain data"));
    shared.run(&call).await?;
    shared.read_time().await
}

pub(super) async fn workers(shared: &Shared, age_max: Duration) -> Result<Vec<WorkerBeat>, StoreError> {
    let reply = Reply::of("workers");
    let mut call = shared.call(&script::WORKERS);
    call.arg(u64::try_from(age_max.as_micros()).unwrap_or(u64::MAX >> 12));
    let mut workers = Vec::new();
    for beat in reply.list(shared.run(&call).await?)? {
        // Of a build that says more than this one knows, the beat is passed over.
        workers.extend(serde_json::from_str::<WorkerBeat>(&reply.text(beat)?).ok());
    }
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(workers)
}

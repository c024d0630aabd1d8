//! Looking: single jobs, the books, the audit.

use redis::Value;

use super::gate;
use super::record::{self, Record, Tries, escaped, stored_id, unescaped};
use super::reply::Reply;
use super::script;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::id::JobId;
use crate::job::State;
use crate::store::prepared;
use crate::store::{Counts, JobView, QueueAudit, QueueStats, StoreError};

/// Jobs in one call that asks for states.
const CALL_IDS_MAX: usize = 500;
/// Jobs in one call that asks for everything.
const CALL_VIEWS_MAX: usize = 100;

/// Views of jobs by their stored ids; None for one that is not known.
pub(super) async fn views(shared: &Shared, ids: &[String]) -> Result<Vec<Option<JobView>>, StoreError> {
    let reply = Reply::of("view");
    let mut views = Vec::with_capacity(ids.len());
    for some in ids.chunks(CALL_VIEWS_MAX) {
        let mut call = shared.call(&script::VIEW);
        for id in some {
            call.text(id);
        }
        let found = reply.list(shared.run(&call).await?)?;
        for (id, found) in some.iter().zip(found) {
            views.push(if found == Value::Nil { None } else { Some(view(&reply, id, found)?) });
        }
    }
    Ok(views)
}

fn view(reply: &Reply, id: &str, found: Value) -> Result<JobView, StoreError> {
    let mut parts = reply.list(found)?.into_iter();
    let mut next = || parts.next().map_or(Ok(None), |part| reply.maybe_text(part));
    let (text, state, ended) = (next()?, next()?, next()?);
    let (tries, faults, notes, running_worker, asked) = (next()?, next()?, next()?, next()?, next()?);
    let read = || -> Option<JobView> {
        let (text, state) = (text?, record::state(&state?)?);
        let record = Record::read(&text)?;
        let tries = tries.as_deref().map_or(Some(Tries::default()), Tries::read)?;
        let mut view = JobView {
            id: record::id_of(id)?,
            queue: unescaped(record.queue),
            priority: record.priority,
            state,
            attempt: tries.attempts + u32::from(state == State::Running),
            crashes: tries.crashes,
            run_at: tries.due_at.unwrap_or(record.due_at),
            created_at: record.created_at,
            finished_at: None,
            deadline_at: record.deadline_at,
            worker: tries.worker.map(str::to_owned).or(running_worker),
            cancelling: asked.is_some(),
            unique_key: record.unique_key(),
            envelope: prepared::envelope(record.envelope, None),
            result: None,
            faults: faults
                .unwrap_or_default()
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            notes: notes.and_then(|notes| serde_json::from_str(&notes).ok()).unwrap_or_default(),
        };
        if let Some(ended) = &ended {
            view.finished_at = Some(reply.time(ended).ok()?);
        }
        if let Some(end) = &record.end {
            view.finished_at = Some(end.finished_at);
            (view.attempt, view.crashes) = (end.attempt, end.crashes);
            view.worker = Some(unescaped(end.worker)).filter(|worker| !worker.is_empty());
            view.result = end.result.and_then(|result| serde_json::from_str(result).ok());
        }
        Some(view)
    };
    read().ok_or_else(|| reply.wrong())
}

pub(super) async fn states(shared: &Shared, ids: &[JobId]) -> Result<Vec<Option<State>>, StoreError> {
    let reply = Reply::of("states");
    let mut states = Vec::with_capacity(ids.len());
    for some in ids.chunks(CALL_IDS_MAX) {
        let mut call = shared.call(&script::STATES);
        call.arg("s");
        for id in some {
            call.text(&stored_id(id));
        }
        for found in reply.list(shared.run(&call).await?)? {
            let name = reply.maybe_text(found)?;
            states.push(name.map(|name| record::state(&name).ok_or_else(|| reply.wrong())).transpose()?);
        }
    }
    Ok(states)
}

pub(super) async fn stats(shared: &Shared) -> Result<Vec<QueueStats>, StoreError> {
    let reply = Reply::of("stats");
    let mut found = reply.list(shared.run(&shared.call(&script::STATS)).await?)?.into_iter();
    let wall = reply.text(found.next().ok_or_else(|| reply.wrong())?)?;
    let wall = reply.time(&wall)?;
    let mut stats = Vec::new();
    for queue in found {
        let mut parts = reply.list(queue)?.into_iter();
        let mut next = || parts.next().ok_or_else(|| reply.wrong());
        let queue = unescaped(&reply.text(next()?)?);
        let counts = counts(&reply, &reply.pairs(next()?)?)?;
        let gate = gate::read(&reply.pairs(next()?)?).ok_or_else(|| reply.wrong())?;
        let mut oldest_ready_at: Option<Timestamp> = None;
        for due in reply.list(next()?)? {
            let due = reply.time(&reply.text(due)?)?;
            oldest_ready_at = Some(oldest_ready_at.map_or(due, |oldest| oldest.min(due)));
        }
        let hold = gate.hold(wall, u32::try_from(counts.running).unwrap_or(u32::MAX));
        stats.push(QueueStats { queue, counts, oldest_ready_at, gate, hold });
    }
    stats.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(stats)
}

fn counts(reply: &Reply, books: &[(String, String)]) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for (field, value) in books {
        let n = match field.as_str() {
            "accepted" => &mut counts.accepted,
            "scheduled" => &mut counts.scheduled,
            "ready" => &mut counts.ready,
            "running" => &mut counts.running,
            "retrying" => &mut counts.retrying,
            "completed" => &mut counts.completed,
            "dead" => &mut counts.dead,
            "cancelled" => &mut counts.cancelled,
            "pruned" => &mut counts.pruned,
            _ => continue,
        };
        // A book that slipped below nothing shows as nothing: the audit finds it.
        *n = value.parse::<i64>().map_err(|_| reply.wrong())?.max(0).cast_unsigned();
    }
    Ok(counts)
}

/// The names of all queues as they are stored, sorted.
pub(super) async fn queues(shared: &Shared) -> Result<Vec<String>, StoreError> {
    let reply = Reply::of("SMEMBERS");
    let answer = shared.link.ask(redis::cmd("SMEMBERS").arg(format!("{}queues", shared.prefix))).await?;
    let names = match answer {
        Value::Set(names) => names,
        other => reply.list(other)?,
    };
    let mut names = names.into_iter().map(|name| reply.text(name)).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

pub(super) async fn audit(shared: &Shared) -> Result<Vec<QueueAudit>, StoreError> {
    let reply = Reply::of("audit");
    let mut audits = Vec::new();
    for queue in queues(shared).await? {
        let mut call = shared.call(&script::AUDIT);
        call.text(&queue);
        let mut parts = reply.list(shared.run(&call).await?)?.into_iter();
        let kept = counts(&reply, &reply.pairs(parts.next().ok_or_else(|| reply.wrong())?)?)?;
        let mut next = || reply.number(&parts.next().ok_or_else(|| reply.wrong())?);
        let counted = Counts {
            accepted: kept.accepted,
            scheduled: next()?,
            ready: next()?,
            running: next()?,
            retrying: next()?,
            completed: next()?,
            dead: next()?,
            cancelled: next()?,
            pruned: kept.pruned,
        };
        audits.push(QueueAudit { queue: unescaped(&queue), kept, counted });
    }
    audits.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(audits)
}

/// The queue's name as the keys have it.
pub(super) fn queue_key(shared: &Shared, queue: &str, part: &str) -> String {
    format!("{}q:{queue}:{part}", shared.prefix)
}

/// The stored form of a queue that a filter names.
pub(super) fn stored_queue(name: &str) -> String {
    escaped(name).into_owned()
}

//! Leases: prolonged while a worker lives, and what becomes of its jobs when it does not.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::read::queues;
use super::record::{escaped, stored_id};
use super::reply::Reply;
use super::script;
use super::shared::Shared;
use crate::store::{CRASHES_MAX, Held, Reaped, Renewed, StoreError};

/// Jobs in one call of renew.
const CALL_JOBS_MAX: usize = 500;
/// Wall time between two looks at every running job, whether or not a lease ran out: what lost its lease, heals.
const FULL_LOOK: Duration = Duration::from_secs(60);

pub(super) async fn renew(
    shared: &Shared,
    queue: &str,
    held: Vec<Held>,
    lease: Duration,
) -> Result<Renewed, StoreError> {
    let (queue, reply) = (escaped(queue), Reply::of("renew"));
    let mut renewed = Renewed::default();
    for some in held.chunks(CALL_JOBS_MAX) {
        let ids: Vec<String> = some.iter().map(|job| stored_id(&job.id)).collect();
        let mut tokens: Vec<u64> = some.iter().map(|job| job.token.0).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let mut call = shared.call(&script::RENEW);
        call.text(&queue).arg(u64::try_from(lease.as_micros()).unwrap_or(u64::MAX >> 12)).arg(tokens.len());
        for token in &tokens {
            call.arg(*token);
        }
        call.arg(some.len());
        let places = shared.held.places(some.iter().map(|job| (&job.id, job.token)));
        for ((id, job), place) in ids.iter().zip(some).zip(places) {
            call.text(id).arg(job.token.0).arg(place);
        }
        let noted: Vec<_> =
            ids.iter().zip(some).filter_map(|(id, job)| Some((id, job.token, job.notes.as_ref()?))).collect();
        call.arg(noted.len());
        for (id, token, notes) in noted {
            let notes = serde_json::to_string(notes).expect("notes are plain data");
            call.text(id).arg(token.0).text(&notes);
        }
        let mut lists = reply.list(shared.run(&call).await?)?.into_iter();
        let mut places = || -> Result<Vec<_>, StoreError> {
            let places = reply.list(lists.next().ok_or_else(|| reply.wrong())?)?;
            let job = |place| {
                let place = usize::try_from(reply.number(&place)?)
                    .ok()
                    .and_then(|place| some.get(place.checked_sub(1)?));
                place.map(|job| (job.id.clone(), job.token)).ok_or_else(|| reply.wrong())
            };
            places.into_iter().map(job).collect()
        };
        let lost = places()?;
        shared.held.take(lost.iter().map(|(id, token)| (id, *token)), |_| ());
        renewed.lost.extend(lost);
        renewed.cancelling.extend(places()?);
    }
    Ok(renewed)
}

/// When every running job was last looked at.
#[derive(Default)]
pub(super) struct FullLooks(AtomicI64);

impl FullLooks {
    fn is_due(&self, wall: i64) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = wall - last >= i64::try_from(FULL_LOOK.as_micros()).unwrap_or(i64::MAX);
        due && self.0.compare_exchange(last, wall, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Puts back what was held under leases that ran out, queue by queue and slice by slice; now and then also what lost
/// its lease.
pub(super) async fn reap(shared: &Shared, looks: &FullLooks) -> Result<Reaped, StoreError> {
    let reply = Reply::of("expired");
    let mut found = reply.list(shared.run(&shared.call(&script::EXPIRED)).await?)?.into_iter();
    let mut all = Reaped::default();
    while let (Some(queue), Some(tokens)) = (found.next(), found.next()) {
        take_back(shared, &reply.text(queue)?, &reply.numbers(tokens)?, &mut all).await?;
    }
    if looks.is_due(shared.clock.wall().micros()) {
        for queue in queues(shared).await? {
            look_for_strays(shared, &queue, &mut all).await?;
        }
    }
    Ok(all)
}

/// What is held without a lease, because an answer or a part of the server's memory was lost.
async fn look_for_strays(shared: &Shared, queue: &str, all: &mut Reaped) -> Result<(), StoreError> {
    let reply = Reply::of("stray");
    let mut cursor = "0".to_owned();
    loop {
        let mut call = shared.call(&script::STRAY);
        call.text(queue).text(&cursor);
        let mut page = reply.list(shared.run(&call).await?)?.into_iter();
        cursor = reply.text(page.next().ok_or_else(|| reply.wrong())?)?;
        let tokens: Vec<u64> = page.map(|token| reply.number(&token)).collect::<Result<_, _>>()?;
        take_back(shared, queue, &tokens, all).await?;
        if cursor == "0" {
            return Ok(());
        }
    }
}

async fn take_back(shared: &Shared, queue: &str, tokens: &[u64], all: &mut Reaped) -> Result<(), StoreError> {
    let reply = Reply::of("reap");
    let mut rest = tokens;
    while !rest.is_empty() {
        let mut call = shared.call(&script::REAP);
        call.text(queue).arg(CRASHES_MAX);
        for token in rest {
            call.arg(*token);
        }
        let slice = reply.list(shared.run(&call).await?)?;
        let [done, ready, dead] = slice.as_slice() else { return Err(reply.wrong()) };
        let count = |n| reply.number(n).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        all.back_to_ready += count(ready)?;
        let poisoned = count(dead)?;
        if poisoned > 0 {
            tracing::warn!(queue, poisoned, "jobs are dead: every worker that took them died");
        }
        all.poisoned += poisoned;
        rest = rest.get(count(done)? as usize..).ok_or_else(|| reply.wrong())?;
    }
    Ok(())
}

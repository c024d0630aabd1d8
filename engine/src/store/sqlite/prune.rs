//! Forgetting terminal jobs: by age, and by number in each queue and state. The oldest go first.

use rusqlite::params;

use crate::clock::Timestamp;
use crate::job::State;
use crate::store::sqlite::act::forget;
use crate::store::sqlite::desk::{Desk, QueueNo};
use crate::store::{Retention, StoreError};

/// Jobs forgotten in one transaction.
const PRUNED_MAX: u64 = 1_000;

const FINISHED: [State; 3] = [State::Completed, State::Dead, State::Cancelled];
pub(super) const OLDEST: &str =
    "SELECT seq FROM job WHERE queue = ?1 AND state = ?2 AND done_at < ?3 ORDER BY done_at LIMIT ?4";

/// Forgets a slice; answers how many jobs, 0 when nothing is beyond the bounds.
pub(super) fn prune(desk: &mut Desk, retention: &Retention) -> Result<u64, StoreError> {
    desk.conn.prepare_cached("DELETE FROM unique_window WHERE until <= ?1")?.execute([desk.now])?;
    let mut pruned = 0;
    let queues: Vec<QueueNo> = desk.queues.all().map(|(no, _)| no).collect();
    for queue in queues {
        for state in FINISHED {
            let age_max = match state {
                State::Completed => retention.completed_age_max,
                _ => retention.dead_age_max,
            };
            pruned += forget_oldest(desk, queue, state, desk.now - age_max, PRUNED_MAX - pruned)?;
            let over = desk.queues.get(queue).count(state).saturating_sub(retention.jobs_max);
            let end = Timestamp::from_micros(i64::MAX);
            pruned += forget_oldest(desk, queue, state, end, over.min(PRUNED_MAX - pruned))?;
        }
    }
    Ok(pruned)
}

fn forget_oldest(
    desk: &mut Desk,
    queue: QueueNo,
    state: State,
    before: Timestamp,
    jobs_max: u64,
) -> Result<u64, StoreError> {
    if jobs_max == 0 || desk.queues.get(queue).count(state) == 0 {
        return Ok(0);
    }
    let seqs: Vec<i64> = desk
        .conn
        .prepare_cached(OLDEST)?
        .query_map(params![queue.0, state, before, jobs_max as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for seq in &seqs {
        forget(desk, *seq)?;
    }
    let n = seqs.len() as u64;
    if n > 0 {
        desk.forget(queue, state, n);
    }
    Ok(n)
}

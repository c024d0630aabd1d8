//! Handing out: what is due becomes ready, and what is ready goes to whoever asks, as far as the gate allows.
//!
//! Does not wait: the writer keeps the asks and comes back here with each commit.

use rusqlite::params;

use crate::clock::Timestamp;
use crate::gate::Hold;
use crate::id::JobId;
use crate::job::{Priority, State};
use crate::store::sqlite::desk::{Desk, QueueNo};
use crate::store::sqlite::row::add_fault;
use crate::store::{Ask, Delivery, FaultCause, JobFault, Reserved, StoreError, TURNS};

/// Jobs made ready in one transaction; what more is due comes in the next.
const PROMOTED_MAX: i64 = 1_000;
/// Expired jobs that one ask buries in one transaction; the ask comes back in the next.
const EXPIRED_MAX: usize = 2_000;

/// Whether an ask could be answered now.
pub(super) enum Outlook {
    Jobs,
    /// There are jobs, and the gate holds them.
    Held(Hold),
    Nothing,
}

pub(super) fn outlook(desk: &Desk, ask: &Ask, wall: Timestamp) -> Outlook {
    let Some(queue) = desk.queues.find(&ask.queue).map(|no| desk.queues.get(no)) else {
        return Outlook::Nothing;
    };
    if queue.count(State::Ready) == 0 {
        return Outlook::Nothing;
    }
    queue.gate.hold(wall, queue.running()).map_or(Outlook::Jobs, Outlook::Held)
}

/// Makes what is due ready, a slice of it.
pub(super) fn promote(desk: &mut Desk) -> Result<(), StoreError> {
    if desk.next_due.is_none_or(|at| at > desk.now) {
        return Ok(());
    }
    promote_from(
        desk,
        State::Scheduled,
        "UPDATE job SET state = 1 WHERE seq IN
           (SELECT seq FROM job WHERE state = 0 AND run_at <= ?1 ORDER BY run_at LIMIT ?2) RETURNING queue, id",
    )?;
    promote_from(
        desk,
        State::Retrying,
        "UPDATE job SET state = 1 WHERE seq IN
           (SELECT seq FROM job WHERE state = 3 AND run_at <= ?1 ORDER BY run_at LIMIT ?2) RETURNING queue, id",
    )?;
    desk.find_next_due()
}

fn promote_from(desk: &mut Desk, from: State, sql: &str) -> Result<(), StoreError> {
    let due: Vec<(i64, JobId)> = desk
        .conn
        .prepare_cached(sql)?
        .query_map(params![desk.now, PROMOTED_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (queue, id) in due {
        desk.move_job(QueueNo(queue), &id, from, State::Ready);
    }
    Ok(())
}

/// Hands out what the gate allows. Jobs whose deadline passed before any attempt of them started are buried on
/// the way and use no attempt.
pub(super) fn reserve(desk: &mut Desk, ask: &Ask) -> Result<Reserved, StoreError> {
    let Some(queue) = desk.queues.find(&ask.queue) else { return Ok(Reserved::default()) };
    let ready = desk.queues.get(queue).count(State::Ready);
    if ready == 0 {
        return Ok(Reserved::default());
    }
    let want = ask.jobs_max.min(u32::try_from(ready).unwrap_or(u32::MAX));
    let running = desk.queues.get(queue).running();
    let wall = desk.wall;
    let room = match desk.queues.change(queue).gate.admit(wall, running, want) {
        Ok(room) => room as usize,
        Err(hold) => return Ok(Reserved { deliveries: Vec::new(), hold: Some(hold) }),
    };

    let mut deliveries = Vec::with_capacity(room);
    let mut expired = 0;
    while deliveries.len() < room && expired < EXPIRED_MAX {
        let given = desk.queues.get(queue).given;
        let picked = pick(desk, queue, ask, given, room - deliveries.len())?;
        if picked.is_empty() {
            break;
        }
        for Picked { seq, delivery } in picked {
            let never_started = delivery.attempt == 1 && delivery.crashes == 0;
            if never_started && delivery.deadline_at.is_some_and(|deadline| deadline < desk.now) {
                expire(desk, queue, seq, &delivery)?;
                expired += 1;
            } else {
                desk.move_job(queue, &delivery.id, State::Ready, State::Running);
                deliveries.push(delivery);
            }
        }
        desk.queues.change(queue).given = given + deliveries.len() as u64;
    }
    let books = desk.queues.change(queue);
    books.gate.took(wall, deliveries.len() as u32);
    Ok(Reserved { deliveries, hold: None })
}

struct Picked {
    seq: i64,
    delivery: Delivery,
}

/// Marks up to `n` ready jobs as running: each priority its turns, and what one leaves to the highest that has
/// jobs. In the order in which they are to start.
fn pick(desk: &Desk, queue: QueueNo, ask: &Ask, given: u64, n: usize) -> Result<Vec<Picked>, StoreError> {
    let mut picked = Vec::with_capacity(n);
    for (priority, turns) in Priority::ALL.into_iter().zip(turns(given, n)) {
        take(desk, queue, ask, priority, turns, &mut picked)?;
    }
    for priority in Priority::ALL {
        let left = n - picked.len();
        take(desk, queue, ask, priority, left, &mut picked)?;
    }
    picked.sort_by_key(|(priority, job)| (*priority, job.delivery.due_at, job.seq));
    Ok(picked.into_iter().map(|(_, job)| job).collect())
}

/// How many of the next `n` jobs are each priority's.
fn turns(given: u64, n: usize) -> [usize; 4] {
    let mut quota = [10, 5, 3, 2].map(|weight| weight * (n / TURNS.len()));
    for k in 0..n % TURNS.len() {
        let turn = TURNS[(given as usize + k) % TURNS.len()];
        quota[usize::from(turn - b'0')] += 1;
    }
    quota
}

/// A token begins at the row's own number, which no other row ever has: so a delivery of a job that was deleted ends no
/// job that came under the same id.
pub(super) const TAKE: &str =
    "UPDATE job SET state = 2, attempt = attempt + 1, token = MAX(token, seq << 16) + 1, lease_at = ?1, worker = ?2
         WHERE seq IN (SELECT seq FROM job WHERE queue = ?3 AND priority = ?4 AND state = 1
                       ORDER BY run_at, seq LIMIT ?5)
         RETURNING seq, id, token, attempt, crashes, run_at, created_at, deadline_at,
           (SELECT envelope FROM body WHERE body.seq = job.seq)";

fn take(
    desk: &Desk,
    queue: QueueNo,
    ask: &Ask,
    priority: Priority,
    n: usize,
    picked: &mut Vec<(Priority, Picked)>,
) -> Result<(), StoreError> {
    if n == 0 {
        return Ok(());
    }
    let mut update = desk.conn.prepare_cached(TAKE)?;
    let lease_at = desk.wall + ask.lease;
    let mut rows = update.query(params![lease_at, ask.worker, queue.0, priority, n as i64])?;
    while let Some(row) = rows.next()? {
        let delivery = Delivery {
            id: row.get(1)?,
            token: row.get(2)?,
            attempt: row.get(3)?,
            crashes: row.get(4)?,
            due_at: row.get(5)?,
            created_at: row.get(6)?,
            deadline_at: row.get(7)?,
            envelope: row.get(8)?,
        };
        picked.push((priority, Picked { seq: row.get(0)?, delivery }));
    }
    Ok(())
}

fn expire(desk: &mut Desk, queue: QueueNo, seq: i64, delivery: &Delivery) -> Result<(), StoreError> {
    desk.conn
        .prepare_cached(
            "UPDATE job SET state = 5, attempt = attempt - 1, done_at = ?2, lease_at = NULL, worker = NULL
             WHERE seq = ?1",
        )?
        .execute(params![seq, desk.now])?;
    let fault = JobFault {
        attempt: delivery.attempt - 1,
        at: desk.now,
        cause: FaultCause::Expired,
        message: "its deadline passed before it started".into(),
    };
    add_fault(&desk.conn, seq, &fault)?;
    desk.move_job(queue, &delivery.id, State::Ready, State::Dead);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_turns_of_any_n_add_up_to_n(given in 0u64..1_000, n in 0usize..600) {
            prop_assert_eq!(turns(given, n).iter().sum::<usize>(), n);
        }

        #[test]
        fn twenty_jobs_in_asks_of_any_size_are_shared_ten_five_three_two(
            start in 0u64..1_000, asks in proptest::collection::vec(1usize..8, 1..30),
        ) {
            let (mut given, mut shares) = (start * 20, [0usize; 4]);
            for n in asks {
                for (share, turn) in shares.iter_mut().zip(turns(given, n)) {
                    *share += turn;
                }
                given += n as u64;
            }
            let rest = turns(given, 20 - (given % 20) as usize);
            let rounds = given / 20 + 1 - start;
            for ((share, turn), weight) in shares.into_iter().zip(rest).zip([10, 5, 3, 2]) {
                prop_assert_eq!(share + turn, weight * rounds as usize);
            }
        }
    }
}

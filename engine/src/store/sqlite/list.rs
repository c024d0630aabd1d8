//! Pages of jobs, the newest first, each job on one page at most while jobs come and go.
//!
//! A page walks an index of the state asked for, from the newest down: terminal jobs by when they ended, those
//! that wait by when they are (or became) due, running ones and all together by when they were accepted. A job
//! that changes meanwhile only moves up, where the pages have been. Kind and tag have no index: they are looked
//! for on the way, and a page looks at [`LOOKED_AT_MAX`] jobs before it hands back a cursor, so a page may be
//! empty and still not the last.

use rusqlite::{CachedStatement, Connection, Rows, params_from_iter};

use crate::job::{Priority, State};
use crate::store::sqlite::row::view_by_seq;
use crate::store::{Filter, JobView, LIST_ROWS_MAX, Page, StoreError};

/// Jobs that one page looks at.
const LOOKED_AT_MAX: usize = 2_000;

/// Where a page ends: the place in the order of the walk, then the job's own number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: i64,
    seq: i64,
}

pub(super) fn check(filter: &Filter) -> Result<(), StoreError> {
    if filter.limit == 0 || filter.limit > LIST_ROWS_MAX {
        return Err(StoreError::Invalid(format!(
            "a page of {} rows; it has 1 to LIST_ROWS_MAX = {LIST_ROWS_MAX}",
            filter.limit
        )));
    }
    place_of(filter).map(drop)
}

pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Page, StoreError> {
    let below = place_of(filter)?;
    let queues = queues(conn, filter.queue.as_deref())?;
    if queues.is_empty() {
        return Ok(Page { jobs: Vec::new(), cursor: None });
    }
    let mut lanes = lanes(conn, filter, &queues)?;
    let mut walks = Vec::with_capacity(lanes.len());
    for (statement, keys) in &mut lanes {
        walks.push(Walk::start(statement, below, keys)?);
    }

    let mut page = Page { jobs: Vec::new(), cursor: None };
    for looked_at in 0.. {
        let newest = walks.iter_mut().filter(|walk| walk.head.is_some()).max_by_key(|walk| walk.head);
        let Some(walk) = newest else {
            page.cursor = None;
            return Ok(page);
        };
        if page.jobs.len() == filter.limit as usize || looked_at == LOOKED_AT_MAX {
            return Ok(page);
        }
        let Some(place) = walk.head else { return Ok(page) };
        let of_queue = queues.iter().any(|(no, _)| *no == walk.queue);
        let of_kind = filter.kind.as_ref().is_none_or(|kind| *kind == walk.kind);
        if of_queue
            && of_kind
            && let Some(job) = view_by_seq(conn, place.seq)?
            && has_tag(&job, filter)
        {
            page.jobs.push(job);
        }
        walk.step()?;
        page.cursor = Some(format!("{}.{}", place.key, place.seq));
    }
    Ok(page)
}

fn has_tag(job: &JobView, filter: &Filter) -> bool {
    filter.tag.as_ref().is_none_or(|tag| job.envelope.tags.contains(tag))
}

fn place_of(filter: &Filter) -> Result<Place, StoreError> {
    let Some(cursor) = &filter.cursor else { return Ok(Place { key: i64::MAX, seq: i64::MAX }) };
    let read = |cursor: &str| {
        let (key, seq) = cursor.split_once('.')?;
        Some(Place { key: key.parse().ok()?, seq: seq.parse().ok()? })
    };
    read(cursor).ok_or_else(|| StoreError::Invalid(format!("{cursor:?} is no cursor of this carrier")))
}

fn queues(conn: &Connection, name: Option<&str>) -> Result<Vec<(i64, String)>, StoreError> {
    let mut all = conn.prepare_cached("SELECT no, name FROM queue")?;
    let queues = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let queues: Vec<(i64, String)> = queues.collect::<rusqlite::Result<_>>()?;
    Ok(queues.into_iter().filter(|(_, queue)| name.is_none_or(|name| name == queue)).collect())
}

type Lane<'c> = (CachedStatement<'c>, Vec<i64>);

/// The walks that together hold every job of the state asked for: one for each range of an index.
fn lanes<'c>(
    conn: &'c Connection,
    filter: &Filter,
    queues: &[(i64, String)],
) -> Result<Vec<Lane<'c>>, StoreError> {
    let keys: Vec<Vec<i64>> = match filter.state {
        None | Some(State::Scheduled | State::Retrying | State::Running) => vec![Vec::new()],
        Some(State::Ready) => queues
            .iter()
            .flat_map(|(no, _)| Priority::ALL.map(|priority| vec![*no, priority as i64]))
            .collect(),
        Some(State::Completed | State::Dead | State::Cancelled) => {
            queues.iter().map(|(no, _)| vec![*no]).collect()
        }
    };
    let sql = walk_of(filter.state);
    keys.into_iter().map(|keys| Ok((conn.prepare_cached(sql)?, keys))).collect()
}

/// Down from the place (?1, ?2), in the range ?3, ?4 of the index where it has ranges. The state is written into
/// each text, or SQLite would not use the partial index.
fn walk_of(state: Option<State>) -> &'static str {
    match state {
        None => "SELECT seq, seq, queue, kind FROM job WHERE seq < ?2 ORDER BY seq DESC",
        // As many as workers have slots: sorted each time.
        Some(State::Running) => {
            "SELECT seq, seq, queue, kind FROM job INDEXED BY job_running WHERE state = 2 AND seq < ?2
             ORDER BY seq DESC"
        }
        Some(State::Scheduled) => {
            "SELECT run_at, seq, queue, kind FROM job WHERE state = 0 AND (run_at, seq) < (?1, ?2)
             ORDER BY run_at DESC, seq DESC"
        }
        Some(State::Retrying) => {
            "SELECT run_at, seq, queue, kind FROM job WHERE state = 3 AND (run_at, seq) < (?1, ?2)
             ORDER BY run_at DESC, seq DESC"
        }
        Some(State::Ready) => {
            "SELECT run_at, seq, queue, kind FROM job
             WHERE queue = ?3 AND priority = ?4 AND state = 1 AND (run_at, seq) < (?1, ?2)
             ORDER BY run_at DESC, seq DESC"
        }
        Some(State::Completed) => {
            "SELECT done_at, seq, queue, kind FROM job
             WHERE queue = ?3 AND state = 4 AND done_at <= ?1 AND (done_at, seq) < (?1, ?2)
             ORDER BY done_at DESC, seq DESC"
        }
        Some(State::Dead) => {
            "SELECT done_at, seq, queue, kind FROM job
             WHERE queue = ?3 AND state = 5 AND done_at <= ?1 AND (done_at, seq) < (?1, ?2)
             ORDER BY done_at DESC, seq DESC"
        }
        Some(State::Cancelled) => {
            "SELECT done_at, seq, queue, kind FROM job
             WHERE queue = ?3 AND state = 6 AND done_at <= ?1 AND (done_at, seq) < (?1, ?2)
             ORDER BY done_at DESC, seq DESC"
        }
    }
}

/// Every walk that may be long.
#[cfg(test)]
pub(super) fn walks() -> impl Iterator<Item = (Option<State>, &'static str)> {
    let states = State::ALL.into_iter().filter(|state| *state != State::Running);
    states.map(Some).chain([None]).map(|state| (state, walk_of(state)))
}

/// One statement on its way down.
struct Walk<'s> {
    rows: Rows<'s>,
    /// None: at the end.
    head: Option<Place>,
    queue: i64,
    kind: String,
}

impl<'s> Walk<'s> {
    fn start(statement: &'s mut CachedStatement<'_>, below: Place, keys: &[i64]) -> Result<Self, StoreError> {
        let rows = statement.query(params_from_iter([below.key, below.seq].iter().chain(keys)))?;
        let mut walk = Self { rows, head: None, queue: 0, kind: String::new() };
        walk.step()?;
        Ok(walk)
    }

    fn step(&mut self) -> Result<(), StoreError> {
        self.head = None;
        if let Some(row) = self.rows.next()? {
            self.head = Some(Place { key: row.get(0)?, seq: row.get(1)? });
            (self.queue, self.kind) = (row.get(2)?, row.get(3)?);
        }
        Ok(())
    }
}

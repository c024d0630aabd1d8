//! Where the writer works: the connection inside its transaction, and the queues' books and gates in memory.
//!
//! Books and gates are read from the file once and written through with each commit. A transaction that is
//! rolled back takes the memory back too, so memory and file never part.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::clock::{Clock, Timestamp};
use crate::gate::Gate;
use crate::id::JobId;
use crate::job::State;
use crate::store::StoreError;
use crate::store::sqlite::feed::{Change, Feed};
use crate::store::sqlite::row::count;

/// A queue by its row in the file: numbered from 1 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct QueueNo(pub i64);

/// What the writer keeps of one queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub name: String,
    /// Jobs in each state, in the order of [`State::ALL`].
    pub states: [u64; State::ALL.len()],
    pub accepted: u64,
    pub pruned: u64,
    /// Jobs ever handed out: whose turn it is among the priorities.
    pub given: u64,
    pub gate: Gate,
}

impl Queue {
    pub fn count(&self, state: State) -> u64 {
        self.states[state as usize]
    }

    pub fn running(&self) -> u32 {
        u32::try_from(self.count(State::Running)).unwrap_or(u32::MAX)
    }

    /// Jobs that wait: what `backlog_max` bounds.
    pub fn backlog(&self) -> u64 {
        self.count(State::Scheduled) + self.count(State::Ready) + self.count(State::Retrying)
    }
}

pub(super) struct Desk {
    pub conn: Connection,
    pub clock: Clock,
    /// The shop's time of this transaction.
    pub now: Timestamp,
    /// Wall time of this transaction.
    pub wall: Timestamp,
    /// No scheduled or retrying job is due before this; None when there is none at all.
    pub next_due: Option<Timestamp>,
    pub queues: Queues,
    changes: HashMap<(QueueNo, State), Change>,
    feed: Feed,
}

impl Desk {
    pub fn open(conn: Connection, clock: Clock, feed: Feed) -> Result<Self, StoreError> {
        let queues = Queues::load(&conn)?;
        let (now, wall) = (clock.now(), clock.wall());
        let mut desk = Self { conn, clock, now, wall, next_due: None, queues, changes: HashMap::new(), feed };
        desk.find_next_due()?;
        Ok(desk)
    }

    /// Runs `work` in a transaction of its own: all of it or nothing, in the file and in memory.
    pub fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Desk) -> Result<T, StoreError>,
    ) -> Result<T, TransactError> {
        (self.now, self.wall) = (self.clock.now(), self.clock.wall());
        let due_before = self.next_due;
        let outcome =
            self.begin().and_then(|()| work(self)).map_err(TransactError::Work).and_then(|answer| {
                self.write_queues().map_err(TransactError::Work)?;
                self.commit().map_err(TransactError::Commit)?;
                Ok(answer)
            });
        if outcome.is_ok() {
            self.queues.keep();
            self.publish();
        } else {
            self.next_due = due_before;
            self.roll_back();
        }
        outcome
    }

    fn begin(&self) -> Result<(), StoreError> {
        Ok(self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
    }

    fn commit(&self) -> Result<(), StoreError> {
        Ok(self.conn.prepare_cached("COMMIT")?.execute([]).map(drop)?)
    }

    fn roll_back(&mut self) {
        self.queues.undo();
        self.changes.clear();
        // SQLite has ended the transaction itself after some failures.
        if !self.conn.is_autocommit()
            && let Err(e) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %e, "the carrier could not roll back");
        }
    }

    /// Jobs of a queue that are new to it.
    pub fn accept(&mut self, queue: QueueNo, id: &JobId, state: State) {
        let books = self.queues.change(queue);
        books.accepted += 1;
        books.states[state as usize] += 1;
        self.tell(queue, state, id);
    }

    /// A job went from one state to another.
    pub fn move_job(&mut self, queue: QueueNo, id: &JobId, from: State, to: State) {
        let books = self.queues.change(queue);
        // The audit finds a book that slipped; the writer goes on.
        books.states[from as usize] = books.states[from as usize].saturating_sub(1);
        books.states[to as usize] += 1;
        self.tell(queue, to, id);
    }

    /// Jobs were forgotten.
    pub fn forget(&mut self, queue: QueueNo, state: State, jobs: u64) {
        let books = self.queues.change(queue);
        books.states[state as usize] = books.states[state as usize].saturating_sub(jobs);
        books.pruned += jobs;
    }

    fn tell(&mut self, queue: QueueNo, state: State, id: &JobId) {
        self.changes.entry((queue, state)).or_default().add(id);
    }

    fn publish(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let changes = self
            .changes
            .drain()
            .map(|((queue, state), change)| (self.queues.get(queue).name.clone(), state, change));
        self.feed.publish(self.now, changes);
    }

    /// A job will be due at `at`.
    pub fn will_be_due(&mut self, at: Timestamp) {
        self.next_due = Some(self.next_due.map_or(at, |next| next.min(at)));
    }

    pub fn is_due(&self) -> bool {
        self.next_due.is_some_and(|at| at <= self.clock.now())
    }

    pub fn find_next_due(&mut self) -> Result<(), StoreError> {
        let first = |sql| -> rusqlite::Result<Option<i64>> {
            self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))
        };
        let scheduled = first("SELECT MIN(run_at) FROM job WHERE state = 0")?;
        let retrying = first("SELECT MIN(run_at) FROM job WHERE state = 3")?;
        self.next_due = scheduled.into_iter().chain(retrying).min().map(Timestamp::from_micros);
        Ok(())
    }

    fn write_queues(&self) -> Result<(), StoreError> {
        for (queue, before) in &self.queues.touched {
            let now = self.queues.get(*queue);
            let [scheduled, ready, running, retrying, completed, dead, cancelled] =
                now.states.map(|n| n as i64);
            self.conn
                .prepare_cached(
                    "UPDATE queue SET scheduled = ?2, ready = ?3, running = ?4, retrying = ?5, completed = ?6,
                       dead = ?7, cancelled = ?8, accepted = ?9, pruned = ?10, given = ?11 WHERE no = ?1",
                )?
                .execute(params![
                    queue.0,
                    scheduled,
                    ready,
                    running,
                    retrying,
                    completed,
                    dead,
                    cancelled,
                    now.accepted as i64,
                    now.pruned as i64,
                    now.given as i64,
                ])?;
            if now.gate != before.gate {
                self.conn
                    .prepare_cached("UPDATE queue SET gate = ?2 WHERE no = ?1")?
                    .execute(params![queue.0, gate_json(&now.gate)])?;
            }
        }
        Ok(())
    }
}

/// Which step of a transaction failed.
#[derive(Debug)]
pub(super) enum TransactError {
    /// The work itself: what else was in the transaction may do better alone.
    Work(StoreError),
    /// The commit: nothing in it can be kept.
    Commit(StoreError),
}

impl TransactError {
    pub fn into_inner(self) -> StoreError {
        match self {
            Self::Work(e) | Self::Commit(e) => e,
        }
    }
}

/// All queues, with what they were before the transaction touched them.
#[derive(Default)]
pub(super) struct Queues {
    rows: Vec<Queue>,
    by_name: HashMap<String, QueueNo>,
    touched: HashMap<QueueNo, Queue>,
    /// How many there were when the transaction began.
    kept: usize,
}

impl Queues {
    fn load(conn: &Connection) -> Result<Self, StoreError> {
        let mut queues = Self::default();
        let mut rows = conn.prepare(
            "SELECT no, name, accepted, pruned, given, gate, scheduled, ready, running, retrying, completed,
               dead, cancelled FROM queue ORDER BY no",
        )?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let no = QueueNo(row.get(0)?);
            let mut queue = Queue {
                name: row.get(1)?,
                accepted: count(row, 2)?,
                pruned: count(row, 3)?,
                given: count(row, 4)?,
                gate: read_gate(&row.get::<_, String>(5)?)?,
                ..Queue::default()
            };
            for (at, n) in queue.states.iter_mut().enumerate() {
                *n = count(row, 6 + at)?;
            }
            if no != queues.next_no() {
                return Err(StoreError::Unreadable("the carrier's queues are not numbered in a row".into()));
            }
            queues.by_name.insert(queue.name.clone(), no);
            queues.rows.push(queue);
        }
        queues.kept = queues.rows.len();
        Ok(queues)
    }

    fn next_no(&self) -> QueueNo {
        QueueNo(self.rows.len() as i64 + 1)
    }

    pub fn find(&self, name: &str) -> Option<QueueNo> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, no: QueueNo) -> &Queue {
        &self.rows[no.0 as usize - 1]
    }

    pub fn all(&self) -> impl Iterator<Item = (QueueNo, &Queue)> {
        self.rows.iter().enumerate().map(|(at, queue)| (QueueNo(at as i64 + 1), queue))
    }

    /// The queue, to be changed: written with the commit, taken back with a rollback.
    pub fn change(&mut self, no: QueueNo) -> &mut Queue {
        let queue = &mut self.rows[no.0 as usize - 1];
        self.touched.entry(no).or_insert_with(|| queue.clone());
        queue
    }

    /// The queue of that name; made, if there is none.
    pub fn of(&mut self, conn: &Connection, name: &str) -> Result<QueueNo, StoreError> {
        if let Some(no) = self.find(name) {
            return Ok(no);
        }
        let no = self.next_no();
        let gate = Gate::default();
        conn.prepare_cached("INSERT INTO queue (no, name, gate) VALUES (?1, ?2, ?3)")?.execute(params![
            no.0,
            name,
            gate_json(&gate)
        ])?;
        self.by_name.insert(name.to_owned(), no);
        self.rows.push(Queue { name: name.to_owned(), gate, ..Queue::default() });
        Ok(no)
    }

    fn keep(&mut self) {
        self.touched.clear();
        self.kept = self.rows.len();
    }

    fn undo(&mut self) {
        for (no, before) in self.touched.drain() {
            self.rows[no.0 as usize - 1] = before;
        }
        for queue in self.rows.drain(self.kept..) {
            self.by_name.remove(&queue.name);
        }
    }
}

fn gate_json(gate: &Gate) -> String {
    serde_json::to_string(gate).expect("a gate is plain data")
}

pub(super) fn read_gate(json: &str) -> Result<Gate, StoreError> {
    serde_json::from_str(json)
        .map_err(|e| StoreError::Unreadable(format!("the carrier's file holds a gate that is none: {e}")))
}

//! Ends of deliveries, written out and sent: many in one call, each fenced by its token.

use std::collections::HashSet;
use std::sync::Arc;

use super::enqueue::Encoded;
use super::record::{self, Slim, escaped, stored_id};
use super::reply::Reply;
use super::script::{self, Call};
use super::shared::{HeldJob, Shared};
use crate::clock::Timestamp;
use crate::id::{JobId, Token};
use crate::store::prepared::{self, at_most};
use crate::store::{End, JobNotes, SETTLE_ITEMS_MAX, Settled, Settlement, StoreError};

/// Ends in one call.
const CALL_ENDS_MAX: usize = 500;
/// Bytes of one call, unless one end alone has more.
const CALL_BYTES_MAX: usize = 1024 * 1024;

/// How a delivery ends, as the script takes it.
pub(super) enum Op {
    /// `tail`: see [`record::finish`].
    Completed {
        tail: Arc<str>,
        result: Option<String>,
    },
    Retry {
        due: i64,
        fault: String,
    },
    Snoozed {
        due: i64,
    },
    Released,
    Dead {
        fault: String,
    },
    Cancelled {
        fault: String,
    },
    Expired {
        fault: String,
    },
}

impl Op {
    fn letter(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "C",
            Self::Retry { .. } => "R",
            Self::Snoozed { .. } => "Z",
            Self::Released => "B",
            Self::Dead { .. } => "D",
            Self::Cancelled { .. } => "X",
            Self::Expired { .. } => "V",
        }
    }
}

/// One end with all that hangs on it.
struct Ending {
    id: JobId,
    token: Token,
    /// Among the jobs of its reserve; 0: not noted.
    place: u16,
    op: Op,
    /// What it tells the breaker: `a` answered, `o` outage, `s` nothing.
    says: &'static str,
    notes: Option<String>,
    /// What was known of the job.
    held: Option<HeldJob>,
    /// Its id as it is stored, when nothing was.
    stranger: Box<str>,
    follow_ups: Vec<Encoded>,
}

impl Ending {
    fn bytes(&self) -> usize {
        let op = match &self.op {
            Op::Completed { .. } => self.record().iter().map(|piece| piece.len()).sum(),
            Op::Retry { fault, .. }
            | Op::Dead { fault }
            | Op::Cancelled { fault }
            | Op::Expired { fault } => fault.len(),
            Op::Snoozed { .. } | Op::Released => 0,
        };
        op + self.notes.as_ref().map_or(0, String::len)
            + self.follow_ups.iter().map(|job| job.record.len()).sum::<usize>()
    }

    fn has_more(&self) -> bool {
        self.notes.is_some() || self.unique().is_some() || !self.follow_ups.is_empty()
    }

    /// The plain unique key that becomes free; those of jobs that end badly the script knows.
    fn unique(&self) -> Option<&str> {
        let completed = matches!(self.op, Op::Completed { .. });
        self.held.as_ref().filter(|_| completed)?.slim.unique.as_deref()
    }

    /// The job's id as it is stored.
    fn stored(&self) -> &str {
        self.held.as_ref().map_or(&self.stranger, |job| job.slim.stored_id())
    }

    /// The record of a completed job, in pieces. Of one that nobody knows nothing is written: no token of it fits.
    fn record(&self) -> [&str; 5] {
        match (&self.op, &self.held) {
            (Op::Completed { tail, result }, Some(job)) => {
                job.slim.completed(tail, result.as_deref().unwrap_or_default())
            }
            _ => Default::default(),
        }
    }

    fn write(&self, call: &mut Call) {
        call.text(self.stored());
        match &self.op {
            Op::Completed { .. } => drop(call.pieces(&self.record())),
            Op::Dead { fault } | Op::Cancelled { fault } | Op::Expired { fault } => drop(call.text(fault)),
            Op::Retry { due, fault } => drop(call.arg(*due).text(fault)),
            Op::Snoozed { due } => drop(call.arg(*due)),
            Op::Released => {}
        }
    }
}

/// Sends ends. Holds how many finished jobs the carrier keeps.
pub(super) struct Ends {
    pub shared: Arc<Shared>,
    pub completed_jobs_max: u64,
    pub completed_bytes_max: u64,
}

impl Ends {
    pub async fn settle(
        &self,
        queue: &str,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, StoreError> {
        at_most("settlements", settlements.len(), "SETTLE_ITEMS_MAX", SETTLE_ITEMS_MAX)?;
        let queue = escaped(queue).into_owned();
        let endings = self.write_out(settlements).await?;
        let mut answers = Vec::with_capacity(endings.len());
        let mut rest = endings.as_slice();
        while !rest.is_empty() {
            let (mut n, mut bytes) = (0, 0);
            while n < rest.len() && n < CALL_ENDS_MAX && (n == 0 || bytes + rest[n].bytes() <= CALL_BYTES_MAX)
            {
                bytes += rest[n].bytes();
                n += 1;
            }
            let (now, later) = rest.split_at(n);
            match self.send(&queue, now).await {
                Ok(told) => answers.extend(told),
                Err(error) => {
                    // The caller tries again: then everything must be known as it is now.
                    let unsettled = endings.into_iter().skip(answers.len());
                    let held = unsettled.filter_map(|ending| Some((ending.id, ending.held?)));
                    self.shared.held.add(held);
                    return Err(error);
                }
            }
            rest = later;
        }
        Ok(answers)
    }

    /// Ends deliveries of one token that say nothing of the other side. The queue's name as stored.
    pub async fn end_all(
        &self,
        queue: &str,
        token: Token,
        ends: impl Iterator<Item = (JobId, u16, Op)>,
    ) -> Result<(), StoreError> {
        let ending = |(id, place, op)| {
            let stranger = stored_id(&id).into();
            let (notes, held, follow_ups) = (None, None, Vec::new());
            Ending { id, token, place, op, says: "s", notes, held, stranger, follow_ups }
        };
        let endings: Vec<Ending> = ends.map(ending).collect();
        self.shared.held.take(endings.iter().map(|ending| (&ending.id, token)), |_| ());
        for some in endings.chunks(CALL_ENDS_MAX) {
            self.send(queue, some).await?;
        }
        Ok(())
    }

    async fn write_out(&self, settlements: Vec<Settlement>) -> Result<Vec<Ending>, StoreError> {
        let mut checked = Vec::with_capacity(settlements.len());
        for Settlement { id, token, mut end, outage, notes } in settlements {
            let (mut kept, mut follow_ups) = (None, Vec::new());
            if let End::Completed { result, follow_ups: jobs } = &mut end {
                kept = result.take().map(|result| result.to_string());
                follow_ups = prepared::prepare(std::mem::take(jobs))?;
            }
            if let Some(result) = &kept {
                prepared::check_result(&id, result)?;
            }
            checked.push(Checked { id, token, end, result: kept, follow_ups, outage, notes });
        }
        // Only now, when nothing can be refused any more.
        let mut held: Vec<Option<HeldJob>> = Vec::with_capacity(checked.len());
        self.shared.held.take(checked.iter().map(|one| (&one.id, one.token)), |job| held.push(job));
        let held = self.look_up_strangers(&checked, held).await?;

        let mut tails = Tails { now: self.shared.now(), plain: None };
        let write = |(one, held): (Checked, Option<HeldJob>)| {
            let Checked { id, token, end, result, follow_ups, outage, notes } = one;
            let notes = prepared::notes_of(&end, notes);
            let notes = notes.map(|notes| serde_json::to_string(&notes).expect("notes are plain data"));
            let silent = matches!(end, End::Released | End::Snoozed { .. });
            let says = match (outage, silent) {
                (true, _) => "o",
                (false, true) => "s",
                (false, false) => "a",
            };
            let place = held.as_ref().map_or(0, |job| job.place);
            let stranger = if held.is_none() { stored_id(&id).into() } else { Box::default() };
            let op = match end {
                End::Completed { .. } => {
                    let tail = held.as_ref().map(|job| tails.of(job, result.as_deref()));
                    Op::Completed { tail: tail.unwrap_or_default(), result }
                }
                End::Retry { at, fault } => Op::Retry { due: at.micros(), fault: record::fault(&fault) },
                End::Dead { fault } => Op::Dead { fault: record::fault(&fault) },
                End::Snoozed { until, .. } => Op::Snoozed { due: until.micros() },
                End::Cancelled { fault } => Op::Cancelled { fault: record::fault(&fault) },
                End::Released => Op::Released,
            };
            let follow_ups: Vec<Encoded> =
                follow_ups.iter().map(|job: &prepared::Prepared| Encoded::of(job, &self.shared)).collect();
            Ending { id, token, place, op, says, notes, held, stranger, follow_ups }
        };
        Ok(checked.into_iter().zip(held).map(write).collect())
    }

    /// What this process was not handed, but ends: it asks the server what it must know of completed ones.
    async fn look_up_strangers(
        &self,
        checked: &[Checked],
        mut held: Vec<Option<HeldJob>>,
    ) -> Result<Vec<Option<HeldJob>>, StoreError> {
        let unknown: Vec<(usize, String)> = (0..checked.len())
            .filter(|n| held[*n].is_none() && matches!(checked[*n].end, End::Completed { .. }))
            .map(|n| (n, stored_id(&checked[n].id)))
            .collect();
        let reply = Reply::of("HMGET");
        for some in unknown.chunks(CALL_ENDS_MAX) {
            for (part, of_tries) in [("jobs", false), ("tries", true)] {
                let mut cmd = redis::cmd("HMGET");
                cmd.arg(format!("{}{part}", self.shared.prefix));
                for (_, stored) in some {
                    cmd.arg(stored);
                }
                let found = reply.list(self.shared.link.ask(&cmd).await?)?;
                for ((n, stored), text) in some.iter().zip(found) {
                    let text = reply.maybe_text(text)?;
                    if !of_tries {
                        let slim = text
                            .as_deref()
                            .and_then(|text| Slim::of(stored, &record::Record::read(text)?, text));
                        held[*n] = slim.map(|slim| HeldJob {
                            token: checked[*n].token,
                            place: 0,
                            attempt: 1,
                            crashes: 0,
                            worker: "".into(),
                            slim,
                        });
                    } else if let (Some(job), Some(tries)) =
                        (&mut held[*n], text.as_deref().and_then(record::Tries::read))
                    {
                        (job.attempt, job.crashes) = (tries.attempts + 1, tries.crashes);
                    }
                }
            }
        }
        Ok(held)
    }

    async fn send(&self, queue: &str, endings: &[Ending]) -> Result<Vec<Settled>, StoreError> {
        /// Ends of one operation, saying and token, by their places.
        type Group<'e> = (&'static str, &'static str, Token, Vec<usize>);
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut answers = vec![Settled::Done; endings.len()];
        let mut named =
            HashSet::with_capacity_and_hasher(endings.len(), foldhash::fast::RandomState::default());
        for (place, ending) in endings.iter().enumerate() {
            if !named.insert((&ending.id, ending.token)) {
                // The first mention counts.
                answers[place] = Settled::FencedOut;
                continue;
            }
            let kind = (ending.op.letter(), ending.says, ending.token);
            match groups.iter_mut().rev().find(|group| (group.0, group.1, group.2) == kind) {
                Some(group) => group.3.push(place),
                None => groups.push((kind.0, kind.1, kind.2, vec![place])),
            }
        }
        let more = endings.iter().any(Ending::has_more);
        let mut call = self.shared.call(&script::SETTLE);
        call.text(queue).arg(self.completed_jobs_max).arg(self.completed_bytes_max).arg(u8::from(more));
        for (letter, says, token, places) in &groups {
            let noted: Vec<u8> = places.iter().flat_map(|at| endings[*at].place.to_be_bytes()).collect();
            call.arg(*letter).arg(*says).arg(token.0).bytes(&noted).arg(places.len());
            for place in places {
                endings[*place].write(&mut call);
            }
        }
        if more {
            write_more(&mut call, endings, &answers);
        }
        let reply = Reply::of("settle");
        let places: Vec<usize> = groups.into_iter().flat_map(|group| group.3).collect();
        for fenced in reply.list(self.shared.run(&call).await?)? {
            let place = usize::try_from(reply.number(&fenced)?)
                .ok()
                .and_then(|place| places.get(place.checked_sub(1)?));
            answers[*place.ok_or_else(|| reply.wrong())?] = Settled::FencedOut;
        }
        Ok(answers)
    }
}

/// A settlement whose parts are within their bounds.
struct Checked {
    id: JobId,
    token: Token,
    end: End,
    result: Option<String>,
    follow_ups: Vec<prepared::Prepared>,
    outage: bool,
    notes: Option<JobNotes>,
}

/// The ends of records of jobs that complete at one instant. Most of those in one call ended at their first attempt,
/// in the same hands and without a result: theirs is written once.
struct Tails {
    now: Timestamp,
    plain: Option<(Arc<str>, Arc<str>)>,
}

impl Tails {
    fn of(&mut self, job: &HeldJob, result: Option<&str>) -> Arc<str> {
        let result = result.unwrap_or_default();
        let write = || record::finish(self.now, job.attempt, job.crashes, &job.worker, result).into();
        if job.attempt != 1 || job.crashes != 0 || !result.is_empty() {
            return write();
        }
        match &self.plain {
            Some((worker, tail)) if Arc::ptr_eq(worker, &job.worker) => tail.clone(),
            _ => {
                let tail: Arc<str> = write();
                self.plain = Some((job.worker.clone(), tail.clone()));
                tail
            }
        }
    }
}

/// Notes, keys that become free, follow-ups: each counts only if its job is settled in this call.
fn write_more(call: &mut Call, endings: &[Ending], answers: &[Settled]) {
    let counted = || {
        endings.iter().zip(answers).filter(|(_, answer)| **answer == Settled::Done).map(|(ending, _)| ending)
    };
    let head = |call: &mut Call, letter: &str, n: usize| {
        call.arg(letter).arg("-").arg("-").arg("-").arg(n);
    };
    let notes: Vec<_> =
        counted().filter_map(|ending| Some((ending.stored(), ending.notes.as_ref()?))).collect();
    if !notes.is_empty() {
        head(call, "N", notes.len());
        for (id, notes) in &notes {
            call.text(id).text(notes);
        }
    }
    let keys: Vec<_> = counted().filter_map(|ending| Some((ending.stored(), ending.unique()?))).collect();
    if !keys.is_empty() {
        head(call, "U", keys.len());
        for (id, key) in &keys {
            call.text(id).text(key);
        }
    }
    let jobs: Vec<_> =
        counted().flat_map(|ending| ending.follow_ups.iter().map(|job| (ending.stored(), job))).collect();
    if !jobs.is_empty() {
        head(call, "E", jobs.len());
        for (parent, job) in jobs {
            call.text(parent).text(&job.queue).arg(job.priority).text(&job.id).text(&job.record).arg(job.due);
            call.text(&job.key).text(&job.window).arg(job.px);
        }
    }
}

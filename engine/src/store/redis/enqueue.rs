//! Jobs on their way in: written out by their callers, sent together.
//!
//! While a call is on its way to the server the next gathers, so that one fsync of the server serves everybody who
//! came meanwhile. A caller with many jobs has them split: no call holds the server up for long.

use std::sync::Arc;

use redis::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::memory::Memory;
use super::record::{self, escaped, id_of, key_name, stored_id};
use super::reply::Reply;
use super::script;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::envelope::Unique;
use crate::id::JobId;
use crate::store::prepared::{self, Prepared};
use crate::store::{Enqueued, StoreError};

/// Jobs in one call; 500 take the server about 2 ms.
const CALL_JOBS_MAX: usize = 500;
/// Bytes of records in one call, unless one job alone has more.
const CALL_BYTES_MAX: usize = 1024 * 1024;
/// Calls on their way at once: the server works on one while the other travels.
const IN_FLIGHT_MAX: usize = 2;
/// Callers that may stand in line; who comes later waits to get in.
const CALLERS_WAITING_MAX: usize = 8_192;

/// The form in which a group of jobs travels: see `lua/enqueue.lua`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Ready,
    Scheduled,
    Unique,
}

/// A job as the scripts take it.
pub(super) struct Encoded {
    form: Form,
    pub queue: String,
    pub priority: u8,
    pub id: String,
    pub record: String,
    /// Microseconds, 0 for now.
    pub due: i64,
    pub key: String,
    /// Microseconds at which the key's window ends, or empty.
    pub window: String,
    /// The same in milliseconds from now for the server to forget it, 0 where the shop's time is not its own.
    pub px: u64,
}

impl Encoded {
    pub fn of(job: &Prepared, shared: &Shared) -> Self {
        let now = shared.now();
        let due = job.run_at.filter(|at| *at > now);
        let (mut key, mut window, mut px) = (String::new(), String::new(), 0);
        if let Some(Unique { key: name, window: length }) = &job.unique {
            key = key_name(&job.kind, name);
            if let Some(length) = length {
                window = (now + *length).micros().to_string();
                if shared.clock.is_real() {
                    px = u64::try_from(length.as_millis()).unwrap_or(u64::MAX >> 16).max(1);
                }
            }
        }
        let form = match (&job.unique, due) {
            (Some(_), _) => Form::Unique,
            (None, Some(_)) => Form::Scheduled,
            (None, None) => Form::Ready,
        };
        Self {
            form,
            queue: escaped(&job.queue).into_owned(),
            priority: job.priority as u8,
            id: stored_id(&job.id),
            record: record::waiting(job, now, due),
            due: due.map_or(0, Timestamp::micros),
            key,
            window,
            px,
        }
    }
}

/// Jobs of one caller that travel together.
struct Parcel {
    jobs: Vec<Encoded>,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<Answer>, StoreError>>,
}

#[derive(Clone)]
enum Answer {
    New,
    Known,
    Full,
    Duplicate(String),
}

/// Gathers and sends.
pub(super) struct Enqueuer {
    shared: Arc<Shared>,
    parcels: mpsc::Sender<Parcel>,
}

impl Enqueuer {
    pub fn start(shared: Arc<Shared>) -> Self {
        let (parcels, received) = mpsc::channel(CALLERS_WAITING_MAX);
        tokio::spawn(gather(shared.clone(), received));
        Self { shared, parcels }
    }

    pub async fn enqueue(&self, jobs: Vec<Prepared>) -> Result<Vec<Enqueued>, StoreError> {
        let mut waits = Vec::with_capacity(jobs.len() / CALL_JOBS_MAX + 1);
        let mut rest = jobs.iter().peekable();
        while rest.peek().is_some() {
            let (mut parcel, mut bytes) = (Vec::new(), 0);
            while parcel.len() < CALL_JOBS_MAX
                && let Some(job) =
                    rest.next_if(|job| parcel.is_empty() || bytes + job.envelope.len() <= CALL_BYTES_MAX)
            {
                let job = Encoded::of(job, &self.shared);
                bytes += job.record.len();
                parcel.push(job);
            }
            let (reply, answer) = oneshot::channel();
            self.parcels.send(Parcel { jobs: parcel, bytes, reply }).await.map_err(|_| closed())?;
            waits.push(answer);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        for wait in waits {
            answers.extend(wait.await.map_err(|_| closed())??);
        }
        self.explain(&jobs, answers).await
    }

    /// Looks up what is told of jobs that were there already.
    async fn explain(&self, jobs: &[Prepared], answers: Vec<Answer>) -> Result<Vec<Enqueued>, StoreError> {
        let reply = Reply::of("states");
        let known: Vec<&JobId> = jobs
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| matches!(answer, Answer::Known))
            .map(|(job, _)| &job.id)
            .collect();
        let mut told = Vec::with_capacity(known.len());
        for ids in known.chunks(CALL_JOBS_MAX) {
            let mut call = self.shared.call(&script::STATES);
            call.arg("r");
            for id in ids {
                call.arg(stored_id(id));
            }
            told.extend(reply.list(self.shared.run(&call).await?)?);
        }
        let mut told = told.into_iter();
        answers
            .into_iter()
            .map(|answer| match answer {
                Answer::New => Ok(Enqueued::New),
                Answer::Full => Ok(Enqueued::Full),
                Answer::Duplicate(of) => {
                    Ok(Enqueued::Duplicate { of: id_of(&of).ok_or_else(|| Reply::of("enqueue").wrong())? })
                }
                Answer::Known => {
                    let (Some(state), Some(text)) = (told.next(), told.next()) else {
                        return Err(reply.wrong());
                    };
                    let (Some(state), Some(text)) = (reply.maybe_text(state)?, reply.maybe_text(text)?)
                    else {
                        // Forgotten between the two looks: it had been done.
                        return Ok(Enqueued::Exists {
                            state: crate::job::State::Completed,
                            fingerprint: None,
                        });
                    };
                    let state = record::state(&state).ok_or_else(|| reply.wrong())?;
                    let record = record::Record::read(&text).ok_or_else(|| reply.wrong())?;
                    Ok(Enqueued::Exists {
                        state,
                        fingerprint: prepared::envelope(record.envelope, None).fingerprint,
                    })
                }
            })
            .collect()
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the carrier is closed".into())
}

/// Sends what has come together, until the last caller has gone.
async fn gather(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let flights = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let memory = Arc::new(Memory::default());
    let mut next = None;
    loop {
        // First room on the way, then look who has come: so the most travel together.
        let Ok(flight) = flights.clone().acquire_owned().await else { return };
        let first = match next.take() {
            Some(parcel) => parcel,
            None => match parcels.recv().await {
                Some(parcel) => parcel,
                None => return,
            },
        };
        let (mut jobs, mut bytes, mut load) = (first.jobs.len(), first.bytes, vec![first]);
        while let Ok(parcel) = parcels.try_recv() {
            if jobs + parcel.jobs.len() > CALL_JOBS_MAX || bytes + parcel.bytes > CALL_BYTES_MAX {
                next = Some(parcel);
                break;
            }
            jobs += parcel.jobs.len();
            bytes += parcel.bytes;
            load.push(parcel);
        }
        let (shared, memory) = (shared.clone(), memory.clone());
        tokio::spawn(async move {
            deliver(&shared, &memory, load).await;
            drop(flight);
        });
    }
}

async fn deliver(shared: &Shared, memory: &Memory, load: Vec<Parcel>) {
    let answers = match memory.room(shared).await {
        Ok(()) => send(shared, &load).await,
        Err(full) => Err(full),
    };
    let mut answers = match answers {
        Ok(answers) => Ok(answers.into_iter()),
        Err(error) => Err(error),
    };
    for parcel in load {
        let told = match &mut answers {
            Ok(answers) => Ok(answers.by_ref().take(parcel.jobs.len()).collect()),
            Err(error) => Err(error.clone()),
        };
        // Nobody may wait for it any more; what was stored stays.
        let _ = parcel.reply.send(told);
    }
}

/// Jobs of one form, queue and priority, by their place in the load.
struct Group<'j> {
    form: Form,
    queue: &'j str,
    priority: u8,
    jobs: Vec<(usize, &'j Encoded)>,
}

async fn send(shared: &Shared, load: &[Parcel]) -> Result<Vec<Answer>, StoreError> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut n = 0;
    for job in load.iter().flat_map(|parcel| &parcel.jobs) {
        let same = |group: &&mut Group<'_>| {
            group.form == job.form && group.priority == job.priority && group.queue == job.queue
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.jobs.push((n, job)),
            None => groups.push(Group {
                form: job.form,
                queue: &job.queue,
                priority: job.priority,
                jobs: vec![(n, job)],
            }),
        }
        n += 1;
    }
    let mut call = shared.call(&script::ENQUEUE);
    for Group { form, queue, priority, jobs } in &groups {
        let form = match form {
            Form::Ready => "R",
            Form::Scheduled => "S",
            Form::Unique => "U",
        };
        call.arg(form).arg(*queue).arg(*priority).arg(jobs.len());
        for (_, job) in jobs {
            call.text(&job.id).text(&job.record);
            if job.form != Form::Ready {
                call.arg(job.due);
            }
            if job.form == Form::Unique {
                call.text(&job.key).text(&job.window).arg(job.px);
            }
        }
    }
    let reply = Reply::of("enqueue");
    let mut refused = reply.list(shared.run(&call).await?)?.into_iter();
    let mut answers = vec![Answer::New; n];
    let places: Vec<usize> =
        groups.iter().flat_map(|group| group.jobs.iter().map(|(place, _)| *place)).collect();
    while let (Some(place), Some(answer)) = (refused.next(), refused.next()) {
        let place =
            usize::try_from(reply.number(&place)?).ok().and_then(|place| places.get(place.checked_sub(1)?));
        let place = *place.ok_or_else(|| reply.wrong())?;
        answers[place] = match answer {
            Value::Int(0) => Answer::Known,
            other => match reply.text(other)? {
                full if full == "full" => Answer::Full,
                id => Answer::Duplicate(id),
            },
        };
    }
    Ok(answers)
}

//! Pages of jobs: state by state, those that live first; queue by queue; the newest first in each.
//!
//! There is no index over all jobs, which would cost every job its bytes. A page walks the structures in which the
//! ids stand. A job that moves on while somebody pages may be met again in its new state. Kind and tag are looked
//! for on the way, and a page looks at [`LOOKED_AT_MAX`] jobs before it hands back a cursor, so a page may be empty
//! and still not the last.

use std::collections::VecDeque;

use redis::Value;

use super::read::{queue_key, queues, stored_queue, views};
use super::record::id_of;
use super::reply::Reply;
use super::shared::Shared;
use crate::job::State;
use crate::store::{Filter, JobView, LIST_ROWS_MAX, Page, StoreError};

/// Jobs that one page looks at.
const LOOKED_AT_MAX: usize = 2_000;
/// Ids fetched at once.
const CHUNK: usize = 100;
/// How far a job may have been pushed down its list since the page before, to be found again.
const PUSHED_DOWN_MAX: usize = 5_000;

/// The order of the states on the pages of all.
const ORDER: [State; 7] = [
    State::Running,
    State::Ready,
    State::Retrying,
    State::Scheduled,
    State::Dead,
    State::Cancelled,
    State::Completed,
];

pub(super) async fn list(shared: &Shared, filter: &Filter) -> Result<Page, StoreError> {
    if filter.limit == 0 || filter.limit > LIST_ROWS_MAX {
        return Err(StoreError::Invalid(format!(
            "a page of {} rows; it has 1 to LIST_ROWS_MAX = {LIST_ROWS_MAX}",
            filter.limit
        )));
    }
    let mut walk = Walk::start(shared, filter).await?;
    let mut page = Page { jobs: Vec::new(), cursor: None };
    for looked_at in 0.. {
        let Some((place, job)) = walk.next().await? else {
            page.cursor = None;
            return Ok(page);
        };
        if page.jobs.len() == filter.limit as usize || looked_at == LOOKED_AT_MAX {
            return Ok(page);
        }
        let of_kind = filter.kind.as_ref().is_none_or(|kind| *kind == job.envelope.kind);
        if of_kind && filter.tag.as_ref().is_none_or(|tag| job.envelope.tags.contains(tag)) {
            page.jobs.push(job);
        }
        page.cursor = Some(place.to_cursor(&walk.lanes));
    }
    Ok(page)
}

/// One structure that holds ids of one state.
#[derive(Clone, PartialEq)]
struct Lane {
    state: State,
    /// As it is stored.
    queue: String,
    /// The priority, of ready jobs.
    class: u8,
}

/// A job's place on the walk.
#[derive(Clone)]
struct Place {
    lane: usize,
    /// Where it stood, counted from the newest.
    index: usize,
    id: String,
}

impl Place {
    fn to_cursor(&self, lanes: &[Lane]) -> String {
        let Lane { state, queue, class } = &lanes[self.lane];
        format!("{}.{class}.{}.{queue} {}", state.as_str(), self.index, self.id)
    }

    fn read(cursor: &str, lanes: &[Lane]) -> Option<Self> {
        let (lane, id) = cursor.rsplit_once(' ')?;
        let mut fields = lane.splitn(4, '.');
        let (state, class) = (fields.next()?, fields.next()?.parse::<u8>().ok()?);
        let (index, queue) = (fields.next()?.parse().ok()?, fields.next()?);
        let lane = lanes
            .iter()
            .position(|lane| lane.state.as_str() == state && lane.class == class && lane.queue == queue)?;
        Some(Self { lane, index, id: id.to_owned() })
    }
}

struct Walk<'s> {
    shared: &'s Shared,
    lanes: Vec<Lane>,
    lane: usize,
    /// The last that was fetched of the lane.
    after: Option<Place>,
    buffer: VecDeque<(Place, JobView)>,
}

impl<'s> Walk<'s> {
    async fn start(shared: &'s Shared, filter: &Filter) -> Result<Self, StoreError> {
        let named = filter.queue.as_deref().map(stored_queue);
        let queues: Vec<String> = queues(shared).await?;
        let states = ORDER.into_iter().filter(|state| filter.state.is_none_or(|wanted| wanted == *state));
        let mut lanes = Vec::new();
        for state in states {
            for queue in queues.iter().filter(|queue| named.as_ref().is_none_or(|named| named == *queue)) {
                let classes = if state == State::Ready { 0..4 } else { 0..1 };
                lanes.extend(classes.map(|class| Lane { state, queue: queue.clone(), class }));
            }
        }
        let after = match &filter.cursor {
            Some(cursor) => Some(Place::read(cursor, &lanes).ok_or_else(|| {
                StoreError::Invalid(format!("{cursor:?} is no cursor of this carrier for this question"))
            })?),
            None => None,
        };
        let lane = after.as_ref().map_or(0, |place| place.lane);
        Ok(Self { shared, lanes, lane, after, buffer: VecDeque::new() })
    }

    async fn next(&mut self) -> Result<Option<(Place, JobView)>, StoreError> {
        while self.buffer.is_empty() {
            let Some(lane) = self.lanes.get(self.lane) else { return Ok(None) };
            let ids = self.ids(lane).await?;
            let Some((last_index, last)) = ids.last().cloned() else {
                (self.lane, self.after) = (self.lane + 1, None);
                continue;
            };
            self.after = Some(Place { lane: self.lane, index: last_index, id: last });
            let (indices, ids): (Vec<usize>, Vec<String>) = ids.into_iter().unzip();
            let found = views(self.shared, &ids).await?;
            for ((index, id), job) in indices.into_iter().zip(ids).zip(found) {
                // What has moved on meanwhile, and the entry that a cancelled job left, are not of this state.
                if let Some(job) = job.filter(|job| job.state == lane.state) {
                    self.buffer.push_back((Place { lane: self.lane, index, id }, job));
                }
            }
        }
        Ok(self.buffer.pop_front())
    }

    /// The next ids of the lane with their indices.
    async fn ids(&self, lane: &Lane) -> Result<Vec<(usize, String)>, StoreError> {
        let key = |part: &str| queue_key(self.shared, &lane.queue, part);
        match lane.state {
            State::Running => self.of_tokens(&key("run")).await,
            State::Ready => self.of_list(&key(&format!("r{}", lane.class))).await,
            State::Completed => self.of_list(&key("done")).await,
            State::Scheduled => self.of_set(&key("sched"), true).await,
            State::Retrying => self.of_set(&key("retry"), true).await,
            State::Dead => self.of_set(&key("dead"), false).await,
            State::Cancelled => self.of_set(&key("cancelled"), false).await,
        }
    }

    async fn of_list(&self, key: &str) -> Result<Vec<(usize, String)>, StoreError> {
        let from = match &self.after {
            None => 0,
            Some(Place { index, id, .. }) => {
                let mut find = redis::cmd("LPOS");
                find.arg(key).arg(id).arg("MAXLEN").arg(index + PUSHED_DOWN_MAX);
                match self.shared.link.ask(&find).await? {
                    Value::Int(found) => usize::try_from(found).unwrap_or(*index) + 1,
                    // It has gone, and those behind it have moved up.
                    _ => *index,
                }
            }
        };
        let mut range = redis::cmd("LRANGE");
        range.arg(key).arg(from).arg(from + CHUNK - 1);
        Ok((from..).zip(self.texts(&range).await?).collect())
    }

    /// `with_class`: members begin with the priority's digit.
    async fn of_set(&self, key: &str, with_class: bool) -> Result<Vec<(usize, String)>, StoreError> {
        let reply = Reply::of("ZREVRANGE");
        let mut from = 0;
        if let Some(Place { index, id, .. }) = &self.after {
            from = *index;
            let members = if with_class {
                (0..4).map(|class| format!("{class}{id}")).collect()
            } else {
                vec![id.clone()]
            };
            for member in members {
                let rank = self.shared.link.ask(redis::cmd("ZREVRANK").arg(key).arg(member)).await?;
                if let Value::Int(rank) = rank {
                    from = usize::try_from(rank).map_err(|_| reply.wrong())? + 1;
                }
            }
        }
        let mut range = redis::cmd("ZREVRANGE");
        range.arg(key).arg(from).arg(from + CHUNK - 1);
        let members = self.texts(&range).await?;
        let id =
            |member: String| if with_class { member.get(1..).unwrap_or_default().to_owned() } else { member };
        Ok((from..).zip(members.into_iter().map(id)).collect())
    }

    /// Running jobs are as many as workers have slots: sorted each time. What a token holds no more is among them.
    async fn of_tokens(&self, key: &str) -> Result<Vec<(usize, String)>, StoreError> {
        let held = self.texts(redis::cmd("HVALS").arg(key)).await?;
        let stored = held.iter().flat_map(|ids| ids.split_whitespace());
        let mut ids: Vec<_> = stored.filter_map(|stored| Some((id_of(stored)?, stored.to_owned()))).collect();
        ids.sort_by(|a, b| b.0.cmp(&a.0));
        ids.dedup();
        let after = self.after.as_ref().and_then(|place| id_of(&place.id));
        let rest = ids.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id < after));
        Ok((0..).zip(rest.take(CHUNK).map(|(_, stored)| stored)).collect())
    }

    async fn texts(&self, cmd: &redis::Cmd) -> Result<Vec<String>, StoreError> {
        let reply = Reply::of("a range");
        reply.list(self.shared.link.ask(cmd).await?)?.into_iter().map(|item| reply.text(item)).collect()
    }
}

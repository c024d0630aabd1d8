//! Pages of jobs.

use std::collections::BTreeSet;

use windlass_engine::State;
use windlass_engine::store::{Action, End, Filter, Page};

use crate::carrier::*;

on_every_store![
    the_newest_come_first,
    each_state_lists_its_own_jobs,
    pages_hold_each_job_once,
    pages_hold_each_job_once_while_jobs_come_and_go,
    a_page_is_of_the_queue_the_kind_and_the_tag,
    a_rare_tag_is_found_over_many_pages,
    the_last_page_has_no_cursor,
    an_unknown_queue_lists_nothing,
];

fn page_of(limit: u32) -> Filter {
    Filter { limit, ..Filter::default() }
}

async fn list(c: &Carrier, filter: Filter) -> Page {
    c.store.list(filter).await.unwrap()
}

fn names(page: &Page) -> Vec<&str> {
    page.jobs.iter().map(|job| job.id.as_str()).collect()
}

/// All ids in the order of the pages.
async fn all(c: &Carrier, mut filter: Filter) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = list(c, filter.clone()).await;
        ids.extend(page.jobs.into_iter().map(|job| job.id.to_string()));
        match page.cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => return ids,
        }
    }
}

async fn the_newest_come_first(c: &Carrier) {
    c.add_all(&["a", "b", "c"]).await;
    let ready = Filter { state: Some(State::Ready), ..page_of(2) };
    assert_eq!(all(c, ready).await, ["c", "b", "a"]);
    for delivery in c.take(3).await {
        c.clock.advance(MINUTE);
        c.end(&delivery, completed()).await;
    }
    let completed = Filter { state: Some(State::Completed), ..page_of(2) };
    assert_eq!(all(c, completed).await, ["c", "b", "a"]);
}

async fn each_state_lists_its_own_jobs(c: &Carrier) {
    c.add_all(&["completed", "dead", "cancelled", "retrying", "running"]).await;
    let taken = c.take(5).await;
    c.end(&taken[0], completed()).await;
    c.end(&taken[1], End::Dead { fault: fault("broken") }).await;
    c.end(&taken[2], End::Cancelled { fault: fault("unwanted") }).await;
    c.end(&taken[3], End::Retry { at: NOON + MINUTE, fault: fault("down") }).await;
    c.add_all(&["ready"]).await;
    c.add(job("scheduled").run_at(NOON + MINUTE)).await;
    for state in State::ALL {
        let page = list(c, Filter { state: Some(state), ..page_of(10) }).await;
        assert_eq!(names(&page), [state.as_str()]);
        assert_eq!(page.jobs[0].state, state);
    }
    assert_eq!(all(c, page_of(3)).await.len(), State::ALL.len());
}

async fn pages_hold_each_job_once(c: &Carrier) {
    // Of one instant, in four priorities and two queues: the order must not depend on times alone.
    let jobs: Vec<_> = (0..60)
        .map(|n| {
            let queue = if n % 2 == 0 { QUEUE } else { "mail" };
            job(&format!("j{n}")).queue(queue).priority(windlass_engine::Priority::ALL[n % 4])
        })
        .collect();
    c.store.enqueue(jobs).await.unwrap();
    for state in [None, Some(State::Ready)] {
        let ids = all(c, Filter { state, ..page_of(7) }).await;
        assert_eq!(ids.len(), 60);
        assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 60);
    }
}

async fn pages_hold_each_job_once_while_jobs_come_and_go(c: &Carrier) {
    c.store.enqueue((0..40).map(|n| job(&format!("old{n}"))).collect()).await.unwrap();
    for delivery in c.take(40).await {
        c.clock.advance(MINUTE);
        c.end(&delivery, completed()).await;
    }
    for state in [None, Some(State::Completed)] {
        let mut filter = Filter { state, ..page_of(10) };
        let mut seen = Vec::new();
        for round in 0.. {
            let page = list(c, filter.clone()).await;
            seen.extend(page.jobs.iter().map(|job| job.id.to_string()));
            let new = format!("new-{}-{round}", state.is_some());
            c.add_all(&[&new]).await;
            let delivery = c.take_one().await;
            c.end(&delivery, completed()).await;
            // One that was seen goes.
            c.store.act(Action::Delete, vec![page.jobs[0].id.clone()]).await.unwrap();
            let Some(cursor) = page.cursor else { break };
            filter.cursor = Some(cursor);
        }
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
        let old = c.store.stats().await.unwrap()[0].counts.completed;
        assert!(old > 0 && seen.len() >= 36, "{} of the old jobs were seen", seen.len());
    }
}

async fn a_page_is_of_the_queue_the_kind_and_the_tag(c: &Carrier) {
    let mut other_kind = job("kind").tag("order:7");
    other_kind.envelope.kind = "other_toy".into();
    let jobs = vec![
        job("plain"),
        job("tagged").tag("order:7").tag("vip"),
        other_kind,
        job("mail").queue("mail").tag("order:7"),
    ];
    c.store.enqueue(jobs).await.unwrap();
    let by = |kind: Option<&str>, queue: Option<&str>, tag: Option<&str>| Filter {
        kind: kind.map(str::to_owned),
        queue: queue.map(str::to_owned),
        tag: tag.map(str::to_owned),
        ..page_of(10)
    };
    let sorted = async |filter| {
        let mut ids = all(c, filter).await;
        ids.sort();
        ids
    };
    assert_eq!(sorted(by(None, None, Some("order:7"))).await, ["kind", "mail", "tagged"]);
    assert_eq!(sorted(by(Some("toy"), None, Some("order:7"))).await, ["mail", "tagged"]);
    assert_eq!(all(c, by(Some("toy"), Some(QUEUE), Some("order:7"))).await, ["tagged"]);
    assert_eq!(all(c, by(None, Some(QUEUE), None)).await, ["kind", "tagged", "plain"]);
    assert_eq!(all(c, by(None, None, Some("order"))).await, [""; 0]);
    let ready = Filter { state: Some(State::Ready), ..by(None, Some("mail"), None) };
    assert_eq!(all(c, ready).await, ["mail"]);
}

async fn a_rare_tag_is_found_over_many_pages(c: &Carrier) {
    c.add(job("first").tag("rare")).await;
    c.store.enqueue((0..4_500).map(|n| job(&format!("j{n}"))).collect()).await.unwrap();
    let filter = Filter { tag: Some("rare".into()), ..page_of(10) };
    let page = list(c, filter.clone()).await;
    assert!(page.cursor.is_some(), "a page looks at a bounded number of jobs");
    assert_eq!(all(c, filter).await, ["first"]);
}

async fn the_last_page_has_no_cursor(c: &Carrier) {
    c.add_all(&["a", "b"]).await;
    let first = list(c, page_of(1)).await;
    let second = list(c, Filter { cursor: first.cursor, ..page_of(1) }).await;
    assert_eq!((names(&second), second.cursor.is_none()), (vec!["a"], true));
    assert!(list(c, page_of(2)).await.cursor.is_none());
}

async fn an_unknown_queue_lists_nothing(c: &Carrier) {
    c.add_all(&["a"]).await;
    let page = list(c, Filter { queue: Some("nowhere".into()), ..page_of(1) }).await;
    assert!(page.jobs.is_empty() && page.cursor.is_none());
}

//! What only the carrier in a file promises: who may open it, and what is left after a crash or on a full disk.
//!
//! A test that needs another process starts this binary again as its child: the same test, which sees
//! [`child::PATH`] in its environment and plays the other part.

#[cfg(test)]
mod child;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod opening;

#[cfg(test)]
mod jobs {
    use std::time::Duration;

    use serde_json::value::to_raw_value;
    use windlass_engine::store::{Ask, Delivery, End, Settlement};
    use windlass_engine::{Envelope, JobId, NewJob, Priority};

    pub const QUEUE: &str = "orders";

    pub fn id_of(text: &str) -> JobId {
        JobId::parse(text).unwrap()
    }

    pub fn job(id: &str, payload_bytes: usize) -> NewJob {
        NewJob {
            id: id_of(id),
            queue: QUEUE.into(),
            priority: Priority::Normal,
            run_at: None,
            unique: None,
            deadline_at: None,
            envelope: Envelope::new("toy", to_raw_value(&"x".repeat(payload_bytes)).unwrap()),
        }
    }

    pub fn ask(jobs_max: u32) -> Ask {
        let (lease, wait) = (Duration::from_secs(600), Duration::ZERO);
        Ask { queue: QUEUE.into(), worker: "w1".into(), jobs_max, lease, wait }
    }

    pub fn completed(delivery: &Delivery) -> Settlement {
        let end = End::Completed { result: None, follow_ups: Vec::new() };
        Settlement { id: delivery.id.clone(), token: delivery.token, end, outage: false, notes: None }
    }
}

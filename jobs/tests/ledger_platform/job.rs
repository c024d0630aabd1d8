//! Jobs that tests put into the outbox.

use serde_json::json;
use windlass_engine::{Envelope, JobId, NewJob, Priority};

pub fn job(id: &str) -> NewJob {
    let payload = serde_json::value::to_raw_value(&json!({ "order_no": id })).unwrap();
    NewJob {
        id: JobId::parse(id).unwrap(),
        queue: "orders".to_owned(),
        priority: Priority::Normal,
        run_at: None,
        unique: None,
        deadline_at: None,
        envelope: Envelope::new("check_order", payload),
    }
}

pub fn id(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

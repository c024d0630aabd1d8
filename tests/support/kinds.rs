//! Kinds of job that only these tests know. They are accepted and looked at, and never run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_engine::{AcceptedBy, Job, JobContext, JobError, JobKind, Outcome, Priority};

pub static TOYS: &[JobKind<()>] =
    &[JobKind::of::<WeighParcel>(), JobKind::of::<KeepOrder>(), JobKind::of::<CountShelf>()];

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeighParcel {
    #[schemars(length(min = 1, max = 20))]
    parcel: String,
    #[schemars(range(min = 1, max = 30_000))]
    grams: u32,
    #[serde(default)]
    note: Option<String>,
}

impl Job for WeighParcel {
    const KIND: &'static str = "weigh_parcel";
    const QUEUE: &'static str = "parcels";
    type Context = ();

    async fn run(self, (): &(), _: &JobContext) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// Accepted by the ledger.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct KeepOrder {
    no: String,
}

impl Job for KeepOrder {
    const KIND: &'static str = "keep_order";
    const QUEUE: &'static str = "orders";
    const PRIORITY: Priority = Priority::High;
    const ACCEPTED_BY: AcceptedBy = AcceptedBy::Ledger;
    type Context = ();

    async fn run(self, (): &(), _: &JobContext) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

/// One at a time for each shelf.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CountShelf {
    shelf: u8,
}

impl Job for CountShelf {
    const KIND: &'static str = "count_shelf";
    const QUEUE: &'static str = "shelves";
    const ATTEMPTS_MAX: u32 = 3;
    const TIMEOUT: Duration = Duration::from_secs(5);
    type Context = ();

    fn unique_key(&self) -> Option<String> {
        Some(format!("shelf-{}", self.shelf))
    }

    async fn run(self, (): &(), _: &JobContext) -> Result<Outcome, JobError> {
        Ok(Outcome::done())
    }
}

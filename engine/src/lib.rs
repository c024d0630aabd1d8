//! Jobs, queues, gates, carriers: the engine of Windlass.
//!
//! It knows no business and no HTTP. A job is what [`job`] says, a carrier is what [`store`] asks for, and
//! [`backend`] is the one place that meets apalis.

pub mod attempt;
pub mod backend;
pub mod clock;
pub mod context;
pub mod envelope;
pub mod gate;
pub mod id;
pub mod job;
mod measure;
pub mod pulse;
pub mod retry;
pub mod schedule;
pub mod store;
pub mod trace;
pub mod worker;

pub use clock::{Clock, Timestamp};
pub use context::JobContext;
pub use envelope::{Envelope, NewJob, Unique};
pub use id::{JobId, Token};
pub use job::{AcceptedBy, Job, JobError, JobKind, JobTable, Outcome, Priority, State, Verdict};
pub use retry::Backoff;
pub use store::{Store, StoreError};

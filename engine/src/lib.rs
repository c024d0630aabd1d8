//! Jobs, queues, gates, carriers: the engine of Windlass.
//!
//! It knows no business and no HTTP. A job is what [`job`] says, a carrier is what [`store`] asks for, and
//! [`backend`] is the one place that meets apalis.

pub mod clock;

pub use clock::{Clock, Timestamp};

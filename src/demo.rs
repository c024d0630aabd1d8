//! `windlass demo`: orders through the whole way, against the sandbox, with the books compared at the end.

pub mod input;
mod shop_time;
pub mod summary;

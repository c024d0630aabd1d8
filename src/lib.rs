//! Windlass: the processes.

pub mod demo;
pub mod lifecycle;

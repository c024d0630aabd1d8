//! Windlass: the processes.

pub mod cli;
pub mod demo;
pub mod lifecycle;

//! Windlass: the processes.

pub mod cli;
pub mod demo;
pub mod front_door;
pub mod lifecycle;
pub mod config;
pub mod telemetry;

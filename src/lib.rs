//! Windlass: the processes.

pub mod cli;
pub mod config;
pub mod demo;
pub mod front_door;
pub mod lifecycle;
pub mod telemetry;

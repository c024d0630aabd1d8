//! Windlass: the processes. The engine is in `engine/`, the business in `jobs/`, the simulated outside in
//! `sandbox/`.

pub mod access;
pub mod bench;
pub mod cli;
pub mod config;
pub mod demo;
pub mod front_door;
pub mod health;
pub mod lifecycle;
pub mod monitoring;
pub mod outside;
pub mod platform;
pub mod scaling;
pub mod telemetry;

//! Windlass: the processes.

pub mod demo;
pub mod front_door;
pub mod lifecycle;

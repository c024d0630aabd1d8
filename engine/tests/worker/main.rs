//! Workers over a real store: what every attempt can do, and what becomes of the job.

mod bench;
mod drain;
mod ends;
mod toys;

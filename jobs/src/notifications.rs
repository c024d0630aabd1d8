//! Telling people what happened.

pub mod mail;

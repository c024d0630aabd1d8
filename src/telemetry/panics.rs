//! Panics as lines of the log, with their place.
//!
//! A message that is a literal of the code is told. One that was put together from values may hold anything, a customer's
//! name too, and is not: the place says which line put it together, and a job that panicked keeps the message with its
//! faults (`windlass jobs show`), where only who may read jobs sees it.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};

const WITHHELD: &str = "a message that was put together from values, which is not logged";

/// Takes the place of Rust's own hook, which writes the message to stderr as it is.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let said = said(info.payload());
        // As RUST_BACKTRACE says; names of functions and no values.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        if tracing::enabled!(target: "windlass::panic", tracing::Level::ERROR) {
            tracing::error!(target: "windlass::panic", place, said, trace, "panicked");
        } else {
            eprintln!("panicked at {place}: {said}");
        }
    }));
}

/// The message of a panic, as far as it may be logged.
pub fn said(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_told_and_what_was_put_together_is_not() {
        let name = "王小明";
        let literal = std::panic::catch_unwind(|| panic!("no shelf is free")).unwrap_err();
        let put_together = std::panic::catch_unwind(|| panic!("{name} has no shelf")).unwrap_err();
        assert_eq!((said(&*literal), said(&*put_together)), ("no shelf is free", WITHHELD));
    }
}

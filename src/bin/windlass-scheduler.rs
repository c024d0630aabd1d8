//! A scheduler alone, as `windlass scheduler`: see `windlass-scheduler --help`.

use std::process::ExitCode;

use windlass::cli::{Role, run_as};

fn main() -> ExitCode {
    run_as(Role::Scheduler)
}

//! A worker alone, as `windlass worker`: see `windlass-worker --help`.

use std::process::ExitCode;

use windlass::cli::{Role, run_as};

fn main() -> ExitCode {
    run_as(Role::Worker)
}

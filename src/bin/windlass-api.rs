//! The front door alone, as `windlass api`: see `windlass-api --help`.

use std::process::ExitCode;

use windlass::cli::{Role, run_as};

fn main() -> ExitCode {
    run_as(Role::Api)
}

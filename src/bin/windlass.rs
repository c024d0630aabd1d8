//! Everything in one program: see `windlass --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass::cli::run()
}

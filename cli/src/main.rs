//! The `holdfast` program.

use std::process::ExitCode;

use clap::Parser;
use holdfast_cli::args::Arguments;

fn main() -> ExitCode {
    holdfast_cli::main(Arguments::parse())
}

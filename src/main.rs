//! The binary: arguments in, exit code out. A panic is a bug in `pipe` and ends with 70.

use std::process::ExitCode;

use pipe::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}

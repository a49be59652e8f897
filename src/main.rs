//! The one binary: arguments to configuration to channels to threads, and out again. Composition only.

mod cli;
mod clock;
mod config;
mod offline;
mod serve;
mod shell;
mod telemetry;

/// Decoding allocates columns per request; glibc's arenas cost a third of the receive path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}

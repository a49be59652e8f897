//! The command line: one file per subcommand.

mod alerts;
mod client;
mod completion;
mod demo;
mod doctor;
mod gate;
mod graph;
mod incidents;
mod init;
mod loadgen;
pub(crate) mod output;
mod query;
mod replay;
mod rollouts;
mod serve;
mod status;
mod steer;
mod validate;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Exact error budgets per revision, and a gate that halts a bad rollout with evidence
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Validate(validate::ValidateArgs),
    Gate(gate::GateArgs),
    Incidents(incidents::IncidentsArgs),
    Status(status::StatusArgs),
    Rollouts(rollouts::RolloutsArgs),
    Disarm(steer::DisarmArgs),
    Arm(steer::ArmArgs),
    Doctor(doctor::DoctorArgs),
    Init(init::InitArgs),
    Graph(graph::GraphArgs),
    Blast(graph::BlastArgs),
    Alerts(alerts::AlertsArgs),
    Query(query::QueryArgs),
    Replay(replay::ReplayArgs),
    Loadgen(loadgen::LoadgenArgs),
    Completion(completion::CompletionArgs),
}

/// Parses the arguments and runs the command.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Validate(args) => validate::run(&args),
        Command::Completion(args) => args.run().into(),
        Command::Replay(args) => args.run().into(),
        Command::Serve(args) => on_runtime(async move { args.run().await }),
        Command::Demo(args) => on_runtime(async move { args.run().await }),
        Command::Gate(args) => on_runtime(async move { args.run().await }),
        Command::Incidents(args) => on_runtime(async move { args.run().await }),
        Command::Status(args) => on_runtime(async move { args.run().await }),
        Command::Rollouts(args) => on_runtime(async move { args.run().await }),
        Command::Disarm(args) => on_runtime(async move { args.run().await }),
        Command::Arm(args) => on_runtime(async move { args.run().await }),
        Command::Doctor(args) => on_runtime(async move { args.run().await }),
        Command::Init(args) => on_runtime(async move { args.run().await }),
        Command::Graph(args) => on_runtime(async move { args.run().await }),
        Command::Blast(args) => on_runtime(async move { args.run().await }),
        Command::Alerts(args) => on_runtime(async move { args.run().await }),
        Command::Query(args) => on_runtime(async move { args.run().await }),
        Command::Loadgen(args) => on_runtime(async move { args.run().await }),
    }
}

/// Runs `command` on a multi-threaded runtime, with tracing and (when asked for) OpenTelemetry set up.
fn on_runtime(command: impl Future<Output = u8>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(format!("error: the runtime cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let telemetry = crate::telemetry::start();
        let code = command.await;
        telemetry.finish();
        code
    });
    // Do not wait for blocking threads that nobody needs any more.
    runtime.shutdown_background();
    code.into()
}

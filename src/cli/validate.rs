//! `tidegate validate`: reads definitions as `serve` would and says everything that is wrong with them.

use clap::{Args, ValueEnum};
use ingest::definitions::{LoadOptions, load_files, show};
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code when there are errors.
const INVALID: u8 = 2;

/// Arguments of `tidegate validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Files and directories with definitions
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

/// Forms of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Text for people
    Table,
    /// One JSON object
    Json,
}

/// Checks the files; exit code 0 when they are valid (warnings are shown), 2 otherwise.
pub(crate) fn run(args: &ValidateArgs) -> ExitCode {
    let options = LoadOptions {
        strict: args.strict,
        ..LoadOptions::default()
    };
    let loaded = load_files(&args.paths, &options);
    match args.output {
        Form::Json => println!("{:#}", show::loaded_json(&loaded)),
        Form::Table => {
            eprint!("{}", show::problems_text(&loaded.problems));
            println!("{}", show::summary(&loaded));
        }
    }
    if loaded.definitions.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INVALID)
    }
}

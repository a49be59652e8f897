//! `tidegate completion SHELL`: the completion script.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a shell completion script
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// Shell
    shell: Shell,
}

impl CompletionArgs {
    /// Prints the script.
    pub(crate) fn run(&self) -> u8 {
        clap_complete::generate(
            self.shell,
            &mut super::Cli::command(),
            "tidegate",
            &mut std::io::stdout(),
        );
        0
    }
}

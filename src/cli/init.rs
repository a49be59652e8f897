//! `tidegate init --from-traffic`: proposes SLO files from what a running Tidegate observed.

mod propose;
#[cfg(test)]
mod tests;
mod yaml;

use super::client::ServerArgs;
use super::output::{complain, inert, say, short};
use anyhow::{Context, Result, bail};
use clap::Args;
use query::wire::TrafficBody;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Exit code when nothing was written.
const NOTHING: u8 = 1;
/// Exit code when the server cannot be reached.
const UNKNOWN: u8 = 30;

/// Propose SLO files from observed traffic: availability and latency of every service, to be read and edited
///
/// Exit codes: 0 written, 1 nothing to write or a file exists already, 30 unreachable, 2 usage.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// From what the running Tidegate observed in the last hour, or since it started
    #[arg(long, required = true)]
    from_traffic: bool,
    /// Directory for the files, one a service; it is made when missing, files in it are never overwritten
    #[arg(long, short, default_value = "slos", value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

impl InitArgs {
    /// Asks, writes and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        let observed: Vec<TrafficBody> = match self.observed().await {
            Ok(observed) => observed,
            Err(error) => {
                complain(format!("error: {}", inert(&format!("{error:#}"))));
                return UNKNOWN;
            }
        };
        match self.write(&observed) {
            Ok(()) => 0,
            Err(error) => {
                complain(format!("error: {}", inert(&format!("{error:#}"))));
                NOTHING
            }
        }
    }

    async fn observed(&self) -> Result<Vec<TrafficBody>> {
        self.server.get("/v1/traffic", &[]).await?.json()
    }

    fn write(&self, observed: &[TrafficBody]) -> Result<()> {
        let mut files: Vec<(PathBuf, String)> = Vec::new();
        let mut taken = std::collections::BTreeSet::new();
        for body in observed {
            if let Some(reason) = propose::refuses(body) {
                say(format!("{}: left out, {reason}", short(&body.service)));
                continue;
            }
            let slug = propose::slug(body, &mut taken);
            let text = yaml::file(&propose::proposal(body, slug.clone()));
            files.push((self.output.join(format!("{slug}.yaml")), text));
        }
        if files.is_empty() {
            bail!(
                "no traffic to propose from: `tidegate doctor` says what is missing; counts are there a few seconds after the first requests"
            );
        }
        if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
            bail!(
                "{} exists: nothing was written; give another --output",
                path.display()
            );
        }
        std::fs::create_dir_all(&self.output)
            .with_context(|| format!("cannot make the directory {}", self.output.display()))?;
        for (path, text) in &files {
            create(path, text)?;
            say(format!("wrote {}", path.display()));
        }
        say(format!(
            "read them: targets are what was observed, not what users need; then\n  tidegate validate {0}\n  tidegate serve --definitions {0}",
            self.output.display()
        ));
        Ok(())
    }
}

fn create(path: &Path, text: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

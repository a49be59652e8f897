//! `cargo xtask`: everything that is more than one cargo command. See CONTRIBUTING.md for the lanes.

mod bench;
mod conformance;
mod dist;
mod lanes;
mod peers;
mod run;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [ARGS...]     build the program and run the main job (`tidegate demo --help` lists ARGS)
  test               hermetic tests: cargo alone, nothing else needed
    --corpus         and the recorded data in $TIDEGATE_CORPUS (default ../shared/corpus)
    --peers          and real OpenTelemetry SDKs, Envoy and checkers (installed into $TIDEGATE_PEERS_CACHE)
    --peers=all      and the OpenTelemetry Collector, a Kubernetes control plane and Argo Rollouts, built for it
    --long           full seeds, statistics grids, fuzzing (hours)
  peers [all|kubernetes] [NAME]   the peers lane alone, or its tests with this name
  conformance        OTLP's statements against Tidegate and the Collector; writes docs/conformance.md
  lint               formatting, clippy, documentation
  bench [-o json]    measure and print; never fails for being slow
  dist               the stripped binary and an OCI image archive, in target/dist
    --profile NAME   another profile than release
    --binary FILE    this binary instead of a new one
    --output DIR     elsewhere
  ci                 what .ci/run does: test, corpus, peers, lint";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => bail!("{USAGE}"),
    };
    match command {
        "demo" => lanes::demo(rest),
        "test" => lanes::test(&lanes::Lanes::parse(rest)?),
        "peers" => lanes::peers_alone(rest),
        "conformance" => conformance::run(),
        "lint" => lanes::lint(),
        "bench" => bench::run(rest),
        "dist" => dist::run_dist(rest),
        "ci" => lanes::ci(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{other}`\n\n{USAGE}"),
    }
}

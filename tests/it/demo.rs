//! The main job: a bad canary is halted, a healthy one goes on.

use crate::server::{tidegate, until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Scenario: 20 seeds choose service, revision, fault and weights, on virtual time.
/// Guarantees: 20 right verdicts, each in less than 5 s; the same seed gives the same bytes, whatever the CPU's instructions.
#[test]
fn twenty_seeds_give_twenty_right_verdicts() {
    let started = Instant::now();
    for seed in 1..=20 {
        let (code, stdout, stderr) = tidegate(&["demo", "--fast", "--seed", &seed.to_string()]);
        assert!(
            code == 0 && stdout.contains("verdicts right"),
            "seed {seed}: {stdout}{stderr}"
        );
    }
    // On average: one run may share its processor with the other tests.
    assert!(started.elapsed() < 20 * Duration::from_secs(5));
    let digest = |tunables: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--fast", "--seed", "1"])
            .env("GLIBC_TUNABLES", tunables)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.rsplit_once("digest ").unwrap().1.trim().to_owned()
    };
    let first = digest("");
    assert_eq!(digest(""), first);
    assert_eq!(digest("glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4"), first);
}

/// Scenario: the demo in real time, through real sockets, without a terminal, going on afterwards.
/// Guarantees: Halt within 30 s of the start, the signed webhook arrives, the page shows it; then the command line says
/// HALT with exit 20 and no SLO pages.
#[test]
fn the_story_in_real_time() {
    let mut demo = Ended(
        Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--stay", "--api", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut told = Vec::new();
    // Kept open to the end: the demo ends when nobody reads it any more.
    for line in lines.by_ref() {
        let is_over = line.contains("both rollouts are finished");
        told.push(line);
        if is_over {
            break;
        }
    }
    let story = told.join("\n");
    let seconds = |part: &str| -> f64 {
        let line = told
            .iter()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("`{part}` is not in:\n{story}"));
        line.trim().split(' ').next().unwrap().parse().unwrap()
    };
    assert!(seconds("gate: HALT checkout") <= 30.0, "{story}");
    assert!(
        seconds("signature checked: HALT checkout") <= 30.0,
        "{story}"
    );
    assert!(
        story.contains("PROCEED catalog") && story.contains("EVIDENCE"),
        "{story}"
    );
    assert!(story.contains("verdicts right"), "{story}");
    let api = story
        .split("pages and API: ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let ask = || {
        Some(tidegate(&[
            "gate",
            "checkout",
            "--candidate",
            "v2",
            "--server",
            api,
        ]))
        .filter(|answer| answer.0 == 20)
    };
    let (_, stdout, _) = until(ask, || "the gate does not exit 20".to_owned());
    assert!(
        stdout.contains("HALT")
            && stdout.contains("v2")
            && stdout.contains("would not have halted"),
        "{stdout}"
    );
    assert!(get(&format!("{api}/gate")).contains("checkout"));
    let alerts: Value = serde_json::from_str(&get(&format!("{api}/v1/alerts"))).unwrap();
    let mut all = alerts.as_array().unwrap().iter();
    assert!(!all.any(|alert| alert["state"] == "firing"), "{alerts:#}");
    let budgets = get(&format!("{api}/v1/budgets?service=checkout"));
    let budgets: Value = serde_json::from_str(&budgets).unwrap();
    let counts = &budgets[0]["counts"];
    let (bad, total) = (
        counts["bad"].as_f64().unwrap(),
        counts["total"].as_f64().unwrap(),
    );
    assert!(bad > 0.0 && bad < total / 10.0, "{budgets:#}");
}

/// A process that ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn get(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
}

/// Scenario: the demo in real time without a terminal, other seeds: other faults, services and weights.
/// Guarantees: it ends by itself, and exit code 0 says that all verdicts were right.
#[test]
fn without_a_terminal_the_demo_ends_after_the_verdicts() {
    let is_long = std::env::var_os("TIDEGATE_LONG").is_some();
    let seeds: Vec<u64> = (2..=if is_long { 20 } else { 3 }).collect();
    for together in seeds.chunks(4) {
        let running = together.iter().map(|seed| {
            let seed = seed.to_string();
            let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
                .args(["demo", "--api", "127.0.0.1:0", "--seed", &seed])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            (seed, child.unwrap())
        });
        for (seed, child) in running.collect::<Vec<_>>() {
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "seed {seed}: {told}{complaints}");
            for part in ["signature checked: HALT", "verdicts right"] {
                assert!(told.contains(part), "seed {seed}: {told}");
            }
        }
    }
}

//! The main job: a bad canary is halted, a healthy one goes on.

use crate::server::{tidegate, until};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Scenario: 20 seeds choose service, revision, fault and weights, on virtual time.
/// Guarantees: 20 right verdicts; the same seed gives the same bytes, whatever the CPU's instructions.
#[test]
fn twenty_seeds_give_twenty_right_verdicts() {
    for seed in 1..=20 {
        let (code, stdout, stderr) = tidegate(&["demo", "--fast", "--seed", &seed.to_string()]);
        assert!(
            code == 0 && stdout.contains("verdicts right"),
            "seed {seed}: {stdout}{stderr}"
        );
    }
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
    let mut demo = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--stay", "--api", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap())
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
    let (_, alerts, _) = tidegate(&["status", "-o", "json", "--server", api]);
    assert!(alerts.contains("\"accepted\""), "{alerts}");
    drop(demo.kill());
    drop(demo.wait());
}

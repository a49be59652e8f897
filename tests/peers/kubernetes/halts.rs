//! Bad and good releases on a real cluster: what is halted, how fast, and what is left alone.

use crate::rig::{Rig, deployment, rollout, text};
use crate::stack::nanos;
use simulator::shop::Fault;

/// Bar of the time between a verdict and its acknowledged patch, ms, 99th percentile.
const PATCH_MILLIS_MAX: u64 = 250;

/// How many times each story is told: once in the lane, ten times in the long one.
pub(crate) fn runs() -> usize {
    if std::env::var_os("TIDEGATE_LONG").is_some() {
        10
    } else {
        1
    }
}

fn percentile(mut millis: Vec<u64>) {
    millis.sort_unstable();
    let index = (millis.len() * 99).div_ceil(100) - 1;
    println!(
        "verdict -> patch acknowledged: p99 {} ms of {} runs",
        millis[index],
        millis.len()
    );
    assert!(millis[index] <= PATCH_MILLIS_MAX, "{millis:?}");
}

/// Scenario: an Argo Rollout with the shipped analysis; a release of which 40 % of the requests fail.
/// Guarantees: it is aborted by one patch, its traffic goes back to the stable template, and the failure ends.
#[test]
fn a_bad_canary_under_argo_is_aborted() {
    let mut all = Vec::new();
    for _ in 0..runs() {
        let faults = vec![("checkout", "bad", Fault::Errors(0.4))];
        let rig = Rig::start("argo", &rollout("good"), faults);
        let stable = text(&rig.row()["candidate"]);
        rig.stack.apply(&rollout("bad"));
        let row = rig.wait_row(|row| row["phase"] == "aborted" && row["hand"] == "halted");
        assert_eq!(row["verdict"], "halt");
        assert_eq!(row["stable"], stable.as_str());
        let object = rig.stack.wait("rollout", "checkout", |one| {
            one["status"]["phase"] == "Degraded"
        });
        assert_eq!(object["status"]["abort"], true);
        all.push(rig.times("Argo, abort", row["candidate"].as_str().unwrap()));
        rig.wait_alone(&stable);
    }
    percentile(all);
}

/// Scenario: a Deployment without permission to go back; a release of which 40 % of the requests fail.
/// Guarantees: it is paused half way by one patch, and stays so.
#[test]
fn a_bad_deployment_is_paused() {
    let mut all = Vec::new();
    for _ in 0..runs() {
        let faults = vec![("checkout", "bad", Fault::Errors(0.4))];
        let rig = Rig::start("", &deployment("good", ""), faults);
        rig.stack.apply(&deployment("bad", ""));
        let row = rig.wait_row(|row| row["hand"] == "halted");
        assert_eq!(row["phase"], "paused", "{row:#}");
        let object = rig.stack.get("deployment", "checkout");
        assert_eq!(object["spec"]["paused"], true);
        assert!(
            object["status"]["updatedReplicas"].as_u64() < Some(4),
            "{object:#}"
        );
        all.push(rig.times("Deployment, pause", row["candidate"].as_str().unwrap()));
    }
    percentile(all);
}

/// Scenario: the same with the annotation that permits going back.
/// Guarantees: it is undone by one patch, and the old template serves alone again.
#[test]
fn a_bad_deployment_is_undone_where_that_is_allowed() {
    let mut all = Vec::new();
    for _ in 0..runs() {
        let faults = vec![("checkout", "bad", Fault::Errors(0.4))];
        let annotations = "tidegate.dev/undo: 'true'";
        let rig = Rig::start("", &deployment("good", annotations), faults);
        let stable = text(&rig.row()["candidate"]);
        rig.stack.apply(&deployment("bad", annotations));
        let row = rig.wait_row(|row| {
            row["hand"] == "done" || row["candidate"] == stable.as_str() && row["words"] != ""
        });
        println!("{}", row["words"]);
        rig.wait_alone(&stable);
        let object = rig.stack.wait("deployment", "checkout", |one| {
            one["status"]["updatedReplicas"] == 4 && one["status"]["replicas"] == 4
        });
        assert_ne!(object["spec"]["paused"], true);
        let patches = rig.stack.taken();
        assert_eq!(patches.len(), 1, "{patches:#?}");
        let decisions = rig.server.get("/v1/decisions");
        let mut decisions = decisions.as_array().unwrap().iter();
        let halt = decisions.find(|one| one["latched"] == true).unwrap();
        let verdict = nanos(halt["answer"]["as_of"].as_str().unwrap());
        let millis = patches[0].at.saturating_sub(verdict) / 1_000_000;
        println!("Deployment, undo: verdict -> patch acknowledged {millis} ms");
        all.push(millis);
    }
    percentile(all);
}

/// Scenario: a release that is as healthy as the one before, under Argo with the shipped analysis.
/// Guarantees: every step is left because of evidence, the rollout completes, nothing is patched.
#[test]
fn a_good_canary_completes() {
    for _ in 0..runs() {
        let rig = Rig::start("argo", &rollout("good"), Vec::new());
        rig.stack.apply(&rollout("better"));
        let object = rig.stack.wait("rollout", "checkout", |one| {
            let status = &one["status"];
            assert_ne!(status["phase"], "Degraded", "{status:#}");
            status["phase"] == "Healthy"
                && status["stableRS"] == status["currentPodHash"]
                && status["currentStepIndex"] == 4
        });
        rig.wait_alone(object["status"]["stableRS"].as_str().unwrap());
        assert!(rig.stack.patches().is_empty(), "{:?}", rig.stack.patches());
    }
}

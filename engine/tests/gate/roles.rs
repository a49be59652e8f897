//! Who is a candidate, what it is compared with, and what happens when people and controllers step in.

use crate::shop::{Arm, Shop, failing};
use engine::gate::answer::{Code, Phase, Verdict};
use engine::gate::{GateMachine, Question, ask, verify};
use engine::input::RolloutChange;
use engine::slo::Maturity;

/// v1 serves alone for 20 s, then v2 gets `share` of the traffic and fails with probability `failed`.
fn rollout(seed: u64, maturity: Maturity, share: f64, failed: f64) -> Shop {
    let mut shop = Shop::new(seed, 200.0, maturity);
    let v1 = move |ms| if ms < 20_000 { 1.0 } else { 1.0 - share };
    let v2 = move |ms| if ms < 20_000 { 0.0 } else { share };
    shop.arms.push(Arm::new("v1", v1, failing(0.001)));
    shop.arms.push(Arm::new("v2", v2, failing(failed)));
    shop
}

/// Scenario: a bad canary is halted, then recovers completely; a person clears the latch with a reason.
/// Guarantees: the Halt stays while nobody clears it, an empty reason clears nothing, after a clear the test starts
/// anew and says so, the chain of decisions verifies and shows every alteration.
#[test]
fn a_halt_is_latched_until_a_person_clears_it_with_a_reason() {
    let mut shop = rollout(1, Maturity::Growth, 0.2, 0.0);
    shop.arms[1].behaviour = Box::new(|ms, rng| (ms < 40_000 && rng.unit() < 0.5, 10));
    shop.run(40_000);
    let halted = shop.ask("v2");
    assert_eq!(halted.verdict, Verdict::Halt);
    assert!(
        halted.reasons[0].contains("v2 failed"),
        "{:?}",
        halted.reasons
    );
    shop.run(120_000);
    let later = shop.ask("v2");
    assert_eq!(later.verdict, Verdict::Halt);
    assert_eq!(later.reasons, halted.reasons);
    assert!(later.notes[0].starts_with("LATCHED"), "{:?}", later.notes);
    assert_eq!(shop.ask_phase("v2", Phase::Admit).verdict, Verdict::Halt);

    let (now, service, v2) = (shop.time(), shop.service(), shop.arms[1].id());
    assert!(
        shop.machine
            .clear_latch(now, service, v2, "  ", "ann")
            .is_none()
    );
    let cleared = shop
        .machine
        .clear_latch(now, service, v2, "fixed the config", "ann");
    let cleared = cleared.expect("it was latched");
    assert_eq!(cleared.decision.cleared_reason, "fixed the config (ann)");
    assert!(
        shop.machine
            .clear_latch(now, service, v2, "again", "ann")
            .is_none()
    );
    shop.run(shop.now + 250);
    let anew = shop.ask("v2");
    assert_eq!(anew.verdict, Verdict::Wait);
    assert!(
        anew.notes
            .iter()
            .any(|note| note.starts_with("ALPHA_SPENT")),
        "{:?}",
        anew.notes
    );
    shop.run(shop.now + 300_000);
    assert_eq!(
        shop.ask("v2").code,
        Code::Evidence,
        "{:?}",
        shop.ask("v2").reasons
    );

    let mut decisions: Vec<_> = shop.machine.decisions().cloned().collect();
    decisions.reverse();
    assert!(decisions.len() >= 4);
    assert_eq!(verify(decisions.iter().map(|decision| &**decision)), Ok(()));
    let mut forged = (*decisions[1]).clone();
    forged.answer.evidence.candidate.failed += 1;
    assert!(verify([&forged]).is_err());
    assert!(verify([&*decisions[0], &*decisions[2]]).is_err());
}

/// Scenario: a healthy canary at 20 %, then promoted; later the old revision comes back.
/// Guarantees: it proceeds by evidence; once promoted it is known good and passes through a spent budget.
#[test]
fn a_healthy_canary_proceeds_and_known_good_revisions_pass_every_freeze() {
    let mut shop = rollout(2, Maturity::Growth, 0.2, 0.0002);
    shop.run(300_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Proceed, Code::Evidence),
        "{:?}",
        answer.reasons
    );
    assert_eq!(answer.baseline, ["v1"]);
    shop.event("v2", RolloutChange::Finished { promoted: true });
    shop.budget.is_exhausted = true;
    shop.budget.page_alert = Some("availability burns".to_owned());
    shop.budget.remaining = Some(-0.12);
    shop.run(shop.now + 5_000);
    let back = shop.ask("v2");
    assert_eq!(
        (back.verdict, back.code),
        (Verdict::Proceed, Code::KnownGoodRollback)
    );
    assert_eq!(
        shop.ask_phase("v2", Phase::Admit).code,
        Code::KnownGoodRollback
    );
    let admit = shop.ask_phase("v3", Phase::Admit);
    assert_eq!(
        (admit.verdict, admit.code),
        (Verdict::Wait, Code::BudgetExhausted)
    );
    assert!(
        admit.reasons[0].contains("overspent by 12 %"),
        "{:?}",
        admit.reasons
    );
}

/// Scenario: a revision takes all traffic and stays within its budget.
/// Guarantees: known good after 15 min (growth), at once (prototype), not after 15 min (mission-critical); never while
/// it fails more than its budget.
#[test]
fn a_revision_that_serves_alone_becomes_known_good_after_the_bake_time() {
    for (maturity, failed, expected) in [
        (Maturity::Growth, 0.0, true),
        (Maturity::Growth, 0.05, false),
        (Maturity::Prototype, 0.0, true),
        (Maturity::MissionCritical, 0.0, false),
    ] {
        let mut shop = Shop::new(3, 5.0, maturity);
        shop.arms.push(Arm::new("v1", |_| 1.0, failing(failed)));
        shop.run(910_000);
        let known = shop
            .machine
            .is_known_good(shop.service(), shop.arms[0].id());
        assert_eq!(known, expected, "{maturity:?} {failed}");
    }
}

/// Scenario: the engine starts in the middle of a rollout, the canary is heard of first.
/// Guarantees: the largest revision is the baseline, marked as assumed.
#[test]
fn at_a_first_start_the_largest_revision_is_the_baseline() {
    let mut shop = Shop::new(4, 100.0, Maturity::Growth);
    shop.arms.push(Arm::new("v2", |_| 0.1, failing(0.001)));
    let v1 = |ms| if ms < 2_000 { 0.0 } else { 0.9 };
    shop.arms.push(Arm::new("v1", v1, failing(0.001)));
    shop.run(5_000);
    assert_eq!(shop.ask("").code, Code::NoCandidate);
    shop.run(30_000);
    let answer = shop.ask("");
    assert_eq!(
        (answer.candidate.as_str(), answer.baseline.as_slice()),
        ("v2", &["v1".to_owned()][..])
    );
    assert!(
        answer
            .notes
            .iter()
            .any(|note| note.starts_with("BASELINE_ASSUMED"))
    );
    assert_eq!(shop.ask("v1").code, Code::NoCandidate);
}

/// Scenario: a controller announces a rollout before its revision was seen, names v1 as the baseline, and v0 serves too.
/// Guarantees: the event waits for the revision; the named baseline is the one tested; another one named in a
/// question is answered BASELINE_NOT_TESTED.
#[test]
fn an_announced_rollout_is_tested_against_the_baseline_it_names() {
    let mut shop = Shop::new(5, 200.0, Maturity::Growth);
    shop.arms.push(Arm::new("v0", |_| 0.3, failing(0.001)));
    shop.arms.push(Arm::new("v1", |_| 0.5, failing(0.001)));
    let v2 = |ms| if ms < 20_000 { 0.0 } else { 0.2 };
    shop.arms.push(Arm::new("v2", v2, failing(0.001)));
    shop.run(15_000);
    shop.event(
        "v2",
        RolloutChange::Started {
            baseline: "v1".to_owned(),
        },
    );
    shop.event(
        "v2",
        RolloutChange::Weight {
            basis_points: 2_000,
        },
    );
    shop.run(45_000);
    let answer = shop.ask("v2");
    assert_eq!(answer.baseline, ["v1"]);
    assert!(answer.evidence.candidate.units > 0, "{:?}", answer.reasons);
    let mut question = Question {
        service: "checkout".to_owned(),
        candidate: "v2".to_owned(),
        baseline: "v1".to_owned(),
        ..Question::default()
    };
    assert_ne!(
        ask(&shop.snapshot(), &question).code,
        Code::BaselineNotTested
    );
    question.baseline = "v0".to_owned();
    let other = ask(&shop.snapshot(), &question);
    assert_eq!(
        (other.verdict, other.code),
        (Verdict::Wait, Code::BaselineNotTested)
    );
}

/// Scenario: after evidence at 5 % the controller raises the weight to 50 %.
/// Guarantees: the pass does not outlive the weight it was found at; it comes again from new evidence.
#[test]
fn a_weight_step_asks_for_new_evidence() {
    let mut shop = Shop::new(6, 500.0, Maturity::Growth);
    shop.budget.error_budget = engine::slo::Ratio::from_ppb(10_000_000);
    let share = |ms| match ms {
        0..20_000 => 0.0,
        20_000..200_000 => 0.05,
        _ => 0.5,
    };
    shop.arms
        .push(Arm::new("v1", move |ms| 1.0 - share(ms), failing(0.001)));
    shop.arms.push(Arm::new("v2", share, failing(0.001)));
    shop.run(20_000);
    shop.event("v2", RolloutChange::Weight { basis_points: 500 });
    shop.run(200_000);
    assert_eq!(
        shop.ask("v2").code,
        Code::Evidence,
        "{:?}",
        shop.ask("v2").reasons
    );
    shop.event(
        "v2",
        RolloutChange::Weight {
            basis_points: 5_000,
        },
    );
    shop.run(201_250);
    assert_eq!(shop.ask("v2").verdict, Verdict::Wait);
    shop.run(300_000);
    assert_eq!(
        shop.ask("v2").code,
        Code::Evidence,
        "{:?}",
        shop.ask("v2").reasons
    );
}

/// Scenario: a shared incident of 10 s timeouts while the weight goes from 50 to 10 %, slow failures of the old split
/// ending after the step; the controller reports the step.
/// Guarantees: no halt.
#[test]
fn a_weight_step_during_a_shared_slow_incident_halts_nobody() {
    for seed in 0..crate::shop::runs(20, 1_000) {
        for maturity in [Maturity::Growth, Maturity::MissionCritical] {
            let mut shop = Shop::new(seed, 100.0, maturity);
            let share = |ms| match ms {
                0..15_000 => 0.0,
                15_000..60_000 => 0.5,
                _ => 0.1,
            };
            let slow = || -> crate::shop::Behaviour {
                Box::new(|ms, rng| {
                    let is_hit = (50_000..90_000).contains(&ms) && rng.unit() < 0.2;
                    if is_hit {
                        (true, 10_000)
                    } else {
                        (rng.unit() < 0.001, 5 + rng.below(20))
                    }
                })
            };
            shop.arms
                .push(Arm::new("v1", move |ms| 1.0 - share(ms), slow()));
            shop.arms.push(Arm::new("v2", share, slow()));
            shop.run(15_000);
            shop.event(
                "v2",
                RolloutChange::Weight {
                    basis_points: 5_000,
                },
            );
            shop.run(60_000);
            shop.event(
                "v2",
                RolloutChange::Weight {
                    basis_points: 1_000,
                },
            );
            shop.run(110_000);
            assert!(
                !shop.is_halted(1),
                "seed {seed} {maturity:?}: {:?}",
                shop.ask("v2").reasons
            );
        }
    }
}

/// Scenario: two routes with .1 % and 10 % failures; the canary gets far more of the bad one.
/// Guarantees: no halt, because routes are never mixed in a stratum.
#[test]
fn another_mix_of_routes_is_no_regression() {
    let mut shop = rollout(7, Maturity::Growth, 0.2, 0.0);
    shop.routes = 2;
    // `failing` cannot see the route, so the mix is made of two arms that share a revision.
    let mix = |share: f64| move |ms: u64| if ms < 20_000 { 0.0 } else { share };
    shop.arms.clear();
    for (version, weight, route, p) in [
        ("v1", 0.76, 0, 0.001),
        ("v1", 0.04, 1, 0.1),
        ("v2", 0.10, 0, 0.001),
        ("v2", 0.10, 1, 0.1),
    ] {
        let mut arm = if version == "v1" {
            Arm::new(version, move |_| weight, failing(p))
        } else {
            Arm::new(version, mix(weight), failing(p))
        };
        arm.route = Some(route);
        shop.arms.push(arm);
    }
    shop.budget.error_budget = engine::slo::Ratio::from_ppb(50_000_000);
    shop.run(140_000);
    assert!(!shop.is_halted(2), "{:?}", shop.ask("v2").reasons);
    assert!(shop.ask("v2").evidence.candidate.units > 1_000);
}

/// Scenario: an intercept and a branch deployment join.
/// Guarantees: neither is a candidate nor a baseline.
#[test]
fn intercepts_and_branches_are_no_candidates() {
    let mut shop = rollout(8, Maturity::Growth, 0.2, 0.9);
    let mut identity = (*shop.arms[1].identity).clone();
    identity.revision.kind = engine::identity::RevisionKind::Intercept;
    shop.arms[1].identity = std::sync::Arc::new(identity);
    shop.run(60_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::NoCandidate)
    );
    assert!(
        answer.reasons[0].contains("intercept"),
        "{:?}",
        answer.reasons
    );
    assert!(!shop.is_halted(1));
}

/// Scenario: the machine is written to a checkpoint and read again in the middle of a trial, and goes on.
/// Guarantees: the same decisions, byte for byte, as without the restart; a latch survives.
#[test]
fn a_checkpoint_changes_nothing() {
    let through = |restart: bool| {
        let mut shop = rollout(9, Maturity::Growth, 0.1, 0.2);
        for until in [24_000, 26_000, 60_000] {
            shop.run(until);
            if restart {
                let bytes = postcard::to_stdvec(&shop.machine).expect("encodes");
                shop.machine = postcard::from_bytes::<GateMachine>(&bytes).expect("decodes");
                assert!(shop.machine.rows().is_empty());
            }
        }
        assert!(shop.is_halted(1));
        shop.machine.decisions().cloned().collect::<Vec<_>>()
    };
    assert_eq!(through(false), through(true));
}

/// Scenario: kill -9 during a latched Halt: the state of the last checkpoint comes back 8 s later, counts between are lost.
/// Guarantees: Unknown(RECOVERING) until it is loaded, then the latch with the numbers of its moment.
#[test]
fn a_latch_survives_a_crash_and_nothing_is_said_before_it_is_loaded() {
    let mut shop = rollout(10, Maturity::Growth, 0.2, 0.5);
    shop.run_while(60_000, |shop| !shop.is_halted(1));
    let halted = shop.ask("v2");
    let checkpoint = postcard::to_stdvec(&shop.machine).expect("encodes");
    let crashed_at = shop.time();
    shop.run(shop.now + 8_000);
    shop.machine = GateMachine::new();
    shop.is_recovering = true;
    shop.run(shop.now + 500);
    assert_eq!(shop.ask("v2").code, Code::Recovering);
    shop.machine = postcard::from_bytes(&checkpoint).expect("decodes");
    shop.gaps.push(engine::input::Gap {
        from: crashed_at,
        to: shop.time(),
    });
    shop.is_recovering = false;
    shop.run(shop.now + 250);
    let back = shop.ask("v2");
    assert_eq!(
        (back.verdict, &back.reasons),
        (Verdict::Halt, &halted.reasons)
    );
}

/// Scenario: counts are lost around a shared blip: the canary's exporter delivers afterwards, the stable arm's counts
/// of the blip are gone.
/// Guarantees: the torn seconds are not tested, the innocent canary is not halted, the gap is noted.
#[test]
fn seconds_around_a_gap_are_not_tested() {
    let mut shop = rollout(11, Maturity::Growth, 0.2, 0.0);
    for arm in &mut shop.arms {
        arm.behaviour = crate::shop::blipping(0.001, 40_500, 46_000, 0.6);
    }
    shop.arms[1].export = crate::shop::Export::Every {
        millis: 10_000,
        phase: 0,
    };
    shop.run(40_000);
    let checkpoint = postcard::to_stdvec(&shop.machine).expect("encodes");
    let crashed_at = shop.time();
    shop.run(47_000);
    shop.machine = postcard::from_bytes(&checkpoint).expect("decodes");
    shop.gaps.push(engine::input::Gap {
        from: crashed_at,
        to: shop.time(),
    });
    shop.run(90_000);
    assert!(!shop.is_halted(1), "{:?}", shop.ask("v2").reasons);
    let notes = shop.ask("v2").notes.join("; ");
    assert!(notes.contains("GAP: 7 s of counts are missing"), "{notes}");
}

//! The kinds of missing data: each is an answer of its own, and none of them is "pass".

use crate::shop::{Arm, Export, Shop, failing, identity};
use engine::gate::answer::{Code, Phase, Verdict};
use engine::gate::{Question, ask};
use engine::slo::Maturity;
use engine::snapshot::Snapshot;

/// v1 serves; v2 appears at 20 s with 20 %.
fn rollout(rate: f64, maturity: Maturity) -> Shop {
    let mut shop = Shop::new(11, rate, maturity);
    shop.arms.push(Arm::new(
        "v1",
        |ms| if ms < 20_000 { 1.0 } else { 0.8 },
        failing(0.001),
    ));
    shop.arms.push(Arm::new(
        "v2",
        |ms| if ms < 20_000 { 0.0 } else { 0.2 },
        failing(0.001),
    ));
    shop
}

/// Scenario: one shop per kind of missing data.
/// Guarantees: the listed verdict and code, reasons with words, and for every Wait on data a number.
#[test]
fn every_kind_of_missing_data_has_its_answer() {
    let mut low = rollout(10.0, Maturity::Growth);
    low.run(40_000);

    let mut no_traffic = rollout(50.0, Maturity::Growth);
    no_traffic.arms[1].weight = Box::new(|ms| {
        if (20_000..30_000).contains(&ms) {
            0.2
        } else {
            0.0
        }
    });
    no_traffic.run(100_000);

    let mut stale = rollout(50.0, Maturity::Growth);
    stale.run(40_000);
    stale.rate = 0.0;
    stale.run(110_000);

    let mut behind = rollout(50.0, Maturity::Growth);
    for arm in &mut behind.arms {
        arm.delay_ms = 45_000;
    }
    behind.run(120_000);

    let mut late = rollout(200.0, Maturity::Growth);
    late.arms[1].export = Export::Every {
        millis: 15_000,
        phase: 0,
    };
    late.run(80_000);

    let mut alone = Shop::new(12, 50.0, Maturity::Growth);
    alone.arms.push(Arm::new(
        "v1",
        |ms| if ms < 20_000 { 1.0 } else { 0.0 },
        failing(0.001),
    ));
    alone.arms.push(Arm::new(
        "v2",
        |ms| if ms < 20_000 { 0.0 } else { 1.0 },
        failing(0.001),
    ));
    alone.run(90_000);

    for (name, shop, expected) in [
        ("low", &low, Code::LowTraffic),
        ("no traffic", &no_traffic, Code::NoTraffic),
        ("stale", &stale, Code::Stale),
        ("behind", &behind, Code::Stale),
        ("late", &late, Code::Stale),
        ("alone", &alone, Code::NoBaseline),
    ] {
        let answer = shop.ask("v2");
        println!(
            "{name}: {:#?}\n  {}\n  {:?}",
            answer.reasons, answer.counterfactual, answer.need
        );
        assert_eq!(
            (answer.verdict, answer.code),
            (Verdict::Wait, expected),
            "{name}: {:?}",
            answer.reasons
        );
        assert!(answer.need.requests > 0, "{name}");
        assert!(!answer.counterfactual.is_empty(), "{name}");
        assert!(!shop.is_halted(1), "{name}");
    }
    let said = low.ask("v2").reasons.join("; ");
    assert!(
        said.contains("more requests of v2") && said.contains("at today's rate"),
        "{said}"
    );
}

/// Scenario: questions about what is not there.
/// Guarantees: UNKNOWN_SERVICE, RECOVERING, NO_CANDIDATE, REVISION_UNKNOWN with what to paste or what to choose from.
#[test]
fn questions_about_what_is_not_there_are_unknown() {
    let mut shop = rollout(50.0, Maturity::Growth);
    shop.run(15_000);
    assert_eq!(shop.ask("").code, Code::NoCandidate);
    shop.run(40_000);
    let question = Question {
        service: "chekcout".to_owned(),
        ..Question::default()
    };
    let answer = ask(&shop.snapshot(), &question);
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Unknown, Code::UnknownService)
    );
    assert!(
        answer.reasons[1].contains("checkout"),
        "{:?}",
        answer.reasons
    );

    let answer = shop.ask("v9");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Unknown, Code::RevisionUnknown)
    );
    assert!(
        answer
            .reasons
            .iter()
            .any(|reason| reason == "live: service.version=v1"),
        "{:?}",
        answer.reasons
    );

    shop.is_recovering = true;
    assert_eq!(shop.ask("v2").code, Code::Recovering);
    assert_eq!(shop.ask_phase("v2", Phase::Admit).verdict, Verdict::Unknown);
    assert_eq!(
        ask(&Snapshot::default(), &question).code,
        Code::UnknownService
    );

    let mut nameless = Shop::new(13, 50.0, Maturity::Growth);
    nameless.arms.push(Arm::new("", |_| 1.0, failing(0.001)));
    assert_eq!(nameless.arms[0].identity, identity(""));
    nameless.run(20_000);
    let answer = nameless.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Unknown, Code::RevisionUnknown)
    );
    let said = answer.reasons.join("\n");
    assert!(
        said.contains("OTEL_RESOURCE_ATTRIBUTES=service.name=checkout,service.version="),
        "{said}"
    );
    assert!(said.contains("k8sattributes"), "{said}");
    assert_eq!(nameless.ask_phase("", Phase::Admit).code, Code::Admitted);
}

/// Scenario: a prototype without enough data, and one that fails half of its requests.
/// Guarantees: PROCEED_BY_POLICY after 2 min and not before; its own evidence is Proceed(ADVISORY), nothing latches.
#[test]
fn a_prototype_is_never_blocked_by_itself() {
    let mut shop = rollout(0.5, Maturity::Prototype);
    shop.run(100_000);
    assert_eq!(shop.ask("v2").verdict, Verdict::Wait);
    shop.run(200_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Proceed, Code::ProceedByPolicy)
    );

    let mut bad = rollout(200.0, Maturity::Prototype);
    bad.arms[1].behaviour = failing(0.5);
    bad.run(60_000);
    let answer = bad.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Proceed, Code::Advisory),
        "{:?}",
        answer.reasons
    );
    assert!(!bad.is_halted(1));
}

/// Scenario: both arms fail half of their requests for a while; and a page fires beside a healthy canary.
/// Guarantees: CASCADE_VICTIM and ALERT_FIRING, both Wait, nothing latched.
#[test]
fn shared_incidents_and_pages_are_waited_out() {
    let mut shop = rollout(200.0, Maturity::Growth);
    for arm in &mut shop.arms {
        arm.behaviour = crate::shop::blipping(0.001, 40_000, 200_000, 0.5);
    }
    shop.run(70_000);
    let answer = shop.ask("v2");
    println!("{:#?}", answer.reasons);
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::CascadeVictim),
        "{:?}",
        answer.reasons
    );
    assert!(!shop.is_halted(1));

    let mut shop = rollout(200.0, Maturity::Growth);
    shop.budget.page_alert = Some("availability burns 20 times too fast".to_owned());
    shop.run(100_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::AlertFiring)
    );
    assert_eq!(shop.ask_phase("v2", Phase::Admit).code, Code::AlertFiring);
}

/// Scenario: canaries that are slower, that burn the budget with nobody beside them.
/// Guarantees: REGRESSION_LATENCY with the edge in words; ABS_SLO_BREACH.
#[test]
fn slow_and_burning_canaries_are_halted_with_their_own_code() {
    let mut slow = rollout(200.0, Maturity::Growth);
    slow.arms[1].behaviour = Box::new(|_, rng| (rng.unit() < 0.001, 100 + rng.below(50)));
    slow.run_while(120_000, |shop| !shop.is_halted(1));
    let answer = slow.ask("v2");
    println!("{:#?} {}", answer.reasons, answer.counterfactual);
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Halt, Code::RegressionLatency),
        "{:?}",
        answer.reasons
    );
    assert!(
        answer.reasons[0].contains("took longer than"),
        "{:?}",
        answer.reasons
    );

    let mut alone = Shop::new(14, 50.0, Maturity::Growth);
    alone.arms.push(Arm::new(
        "v1",
        |ms| if ms < 20_000 { 1.0 } else { 0.0 },
        failing(0.001),
    ));
    alone.arms.push(Arm::new(
        "v2",
        |ms| if ms < 20_000 { 0.0 } else { 1.0 },
        failing(0.3),
    ));
    alone.run_while(120_000, |shop| !shop.is_halted(1));
    let answer = alone.ask("v2");
    println!("{:#?} {}", answer.reasons, answer.counterfactual);
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Halt, Code::AbsoluteSloBreach),
        "{:?}",
        answer.reasons
    );
}

/// Scenario: everything of both revisions comes 15 s after its end; then only one revision's does.
/// Guarantees: Wait(LATE_INPUT) with the lag and the line that mends it; one late arm alone is not called so.
#[test]
fn input_that_is_always_late_is_named_with_its_mend() {
    let mut shop = rollout(50.0, Maturity::Growth);
    for arm in &mut shop.arms {
        arm.delay_ms = 15_000;
    }
    shop.run(110_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::LateInput)
    );
    let words = answer.reasons.join(" ");
    for part in ["15 s", "traces/tidegate: {receivers: [otlp]", "v2"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(
        answer
            .notes
            .iter()
            .any(|note| note.starts_with("LATE_INPUT: "))
    );
    let mut shop = rollout(50.0, Maturity::Growth);
    shop.arms[1].delay_ms = 15_000;
    shop.run(110_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::ClockSkew)
    );
    assert!(
        answer
            .notes
            .iter()
            .any(|note| note.starts_with("LATE_INPUT: "))
    );
}

/// Scenario: a revision that fails 30 %, alone and beside a good one, with all spans and with tail-sampled ones.
/// Guarantees: a sample never halts by its absolute rate: Wait(TAIL_SAMPLED) with the mend; side by side it still halts.
#[test]
fn tail_sampled_spans_give_no_absolute_evidence() {
    use engine::delta::Mark;
    for (is_alone, mark, expected) in [
        (true, None, (Verdict::Halt, Code::AbsoluteSloBreach)),
        (
            true,
            Some(Mark::HeadSampled),
            (Verdict::Halt, Code::AbsoluteSloBreach),
        ),
        (
            true,
            Some(Mark::TailSampled),
            (Verdict::Wait, Code::TailSampled),
        ),
        (
            false,
            Some(Mark::TailSampled),
            (Verdict::Halt, Code::RegressionErrors),
        ),
    ] {
        let mut shop = rollout(50.0, Maturity::Growth);
        if is_alone {
            shop.arms[0].weight = Box::new(|ms| if ms < 20_000 { 1.0 } else { 0.0 });
            shop.arms[1].weight = Box::new(|ms| if ms < 20_000 { 0.0 } else { 1.0 });
        }
        shop.arms[1].behaviour = failing(0.3);
        for arm in &mut shop.arms {
            arm.mark = mark;
        }
        shop.run(60_000);
        let answer = shop.ask("v2");
        assert_eq!(
            (answer.verdict, answer.code),
            expected,
            "{:?}",
            answer.reasons
        );
        let noted = |name: &str| answer.notes.iter().any(|note| note.starts_with(name));
        assert_eq!(noted("TAIL_SAMPLED: "), mark == Some(Mark::TailSampled));
        assert_eq!(noted("SAMPLED: "), mark == Some(Mark::HeadSampled));
        if answer.code == Code::TailSampled {
            assert!(
                answer.reasons[1].contains("traces/tidegate"),
                "{:?}",
                answer.reasons
            );
        }
    }
}

/// Scenario: an open incident reaches beyond its culprit: the candidate is proven behind it, the service is a victim of
/// another one, or only stands next to it.
/// Guarantees: Halt CASCADE_CAUSE for the first, Wait for the others, never Halt; `admit` waits, too.
#[test]
fn incidents_halt_their_cause_and_hold_the_others() {
    use engine::gate::IncidentFacts;
    let mut shop = rollout(200.0, Maturity::Growth);
    shop.run(20_000);
    let candidate = shop.arms[1].id();
    let mut incident = IncidentFacts {
        id: 1,
        causes: std::collections::BTreeSet::new(),
        is_victim: false,
        title: "payment cannot be reached, 3 services suffer".to_owned(),
    };
    shop.incident = Some(incident.clone());
    shop.run(23_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::NeighborBurning)
    );
    assert_eq!(
        shop.ask_phase("v2", Phase::Admit).code,
        Code::NeighborBurning
    );
    incident.is_victim = true;
    shop.incident = Some(incident.clone());
    shop.run(26_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Wait, Code::CascadeVictim)
    );
    incident.causes.insert(candidate);
    shop.incident = Some(incident);
    shop.run(29_000);
    let answer = shop.ask("v2");
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Halt, Code::CascadeCause)
    );
}

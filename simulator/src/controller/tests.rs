//! The controller as a table: time and answer in, actions out.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const SECOND: u64 = 1_000_000_000;

fn plan() -> Plan {
    Plan {
        subject: Subject {
            service: "checkout".to_owned(),
            namespace: "shop".to_owned(),
            environment: "demo".to_owned(),
            candidate: "v2".to_owned(),
            baseline: String::new(),
        },
        start_at: 10 * SECOND,
        weights: vec![500, 2_500],
        dwell_nanos: 2 * SECOND,
        poll_nanos: SECOND / 2,
        patience_nanos: 60 * SECOND,
    }
}

fn reply(verdict: &str) -> Option<GateReply> {
    Some(GateReply::from_body(
        serde_json::json!({"verdict": verdict, "code": "X"}),
    ))
}

/// Actions in one word each.
fn words(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::Post(event) => event["type"].as_str().unwrap().replace("rollout.", ""),
            Action::Deploy => "deploy".to_owned(),
            Action::SetWeight(weight) => format!("={weight}"),
            Action::Ask(question) => format!("?{}", question.phase.name()),
        })
        .collect()
}

/// Plays (second, answer, expected actions) rows.
fn play(rows: &[(f64, &str, &str)]) -> Controller {
    let mut controller = Controller::new(plan());
    for (second, answer, expected) in rows {
        let answer = if answer.is_empty() {
            None
        } else {
            reply(answer)
        };
        let actions = controller.step((second * 1e9) as u64, answer);
        assert_eq!(words(&actions).join(" "), *expected, "at {second} s");
    }
    controller
}

const BEGIN: [(f64, &str, &str); 3] = [
    (9.9, "", ""),
    (10.0, "", "?admit"),
    (10.1, "proceed", "started deploy weight =500"),
];

#[test]
fn a_good_rollout_is_promoted_step_by_step() {
    let rows = [
        &BEGIN[..],
        &[
            (10.3, "", ""),
            (10.6, "", "?advance"),
            (10.7, "wait", ""),
            (11.2, "", "?advance"),
            (11.3, "", ""),
            (11.9, "proceed", ""),
            (12.4, "", "?advance"),
            (12.5, "proceed", "weight =2500"),
            (13.0, "", "?advance"),
            (20.0, "proceed", "weight =10000 finished"),
            (30.0, "", ""),
        ],
    ]
    .concat();
    assert_eq!(play(&rows).stage(), Stage::Promoted);
}

#[test]
fn a_halt_takes_all_traffic_away_at_once() {
    let rows = [
        &BEGIN[..],
        &[
            (10.6, "", "?advance"),
            (10.7, "halt", "=0 weight finished"),
            (11.5, "", ""),
        ],
    ]
    .concat();
    assert_eq!(play(&rows).stage(), Stage::Aborted);
}

#[test]
fn unknown_and_wait_never_move_anything() {
    let rows = [
        (10.0, "", "?admit"),
        (10.1, "unknown", ""),
        (10.6, "", "?admit"),
        (10.7, "wait", ""),
        (11.2, "", "?admit"),
        (11.3, "proceed", "started deploy weight =500"),
        (12.0, "", "?advance"),
        (14.0, "unknown", ""),
        (14.5, "", "?advance"),
        (15.0, "nonsense", ""),
    ];
    assert_eq!(play(&rows).stage(), Stage::Running(0));
}

#[test]
fn a_stuck_rollout_is_reported_paused_and_resumes() {
    let rows = [
        &BEGIN[..],
        &[
            (70.1, "", "paused ?advance"),
            (70.2, "wait", ""),
            (70.7, "", "?advance"),
            (70.8, "proceed", "resumed weight =2500"),
        ],
    ]
    .concat();
    assert_eq!(play(&rows).stage(), Stage::Running(1));
}

#[test]
fn halt_while_paused_or_admitting_ends_it() {
    let paused = [
        &BEGIN[..],
        &[
            (70.1, "", "paused ?advance"),
            (70.2, "halt", "=0 weight finished"),
        ],
    ]
    .concat();
    assert_eq!(play(&paused).stage(), Stage::Aborted);
    let admitting = [(10.0, "", "?admit"), (10.1, "halt", "=0 weight finished")];
    assert_eq!(play(&admitting).stage(), Stage::Aborted);
}

#[test]
fn events_are_cloud_events() {
    let mut controller = Controller::new(plan());
    controller.step(10 * SECOND, None);
    let actions = controller.step(10 * SECOND + 5, reply("proceed"));
    let Action::Post(event) = &actions[2] else {
        panic!("expected the weight event, got {actions:?}");
    };
    let expected = serde_json::json!({
        "specversion": "1.0",
        "id": "checkout-v2-10000000000-2",
        "source": "/simulator/rollout-controller",
        "type": "rollout.weight",
        "time": "1970-01-01T00:00:10.000000005Z",
        "datacontenttype": "application/json",
        "data": {
            "service": "checkout", "namespace": "shop", "environment": "demo",
            "candidate": "v2", "weight_percent": 5.0,
        },
    });
    assert_eq!(*event, expected);
}

#[test]
fn questions_are_encoded() {
    let mut subject = plan().subject;
    subject.candidate = "v2+b&c".to_owned();
    let question = Question {
        subject,
        phase: Phase::Advance,
    };
    assert_eq!(
        question.path_and_query(),
        "/v1/gate?service=checkout&namespace=shop&environment=demo&candidate=v2%2Bb%26c&phase=advance"
    );
}

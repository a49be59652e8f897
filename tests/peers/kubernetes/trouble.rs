//! What goes wrong around an action: permissions, the API server, Tidegate itself.

use crate::proxy::{Mode, Step};
use crate::rig::{Rig, deployment, text};
use crate::server::{tidegate, until_within};
use crate::shop::Faults;
use crate::stack::PATIENCE;
use simulator::shop::Fault;
use std::time::Duration;

/// So long the API server is in trouble.
const TROUBLE: Duration = Duration::from_secs(30);
/// Permits going back.
const UNDO: &str = "tidegate.dev/undo: 'true'";

/// Bad releases, one a round.
const BAD: [&str; 12] = [
    "bad-0", "bad-1", "bad-2", "bad-3", "bad-4", "bad-5", "bad-6", "bad-7", "bad-8", "bad-9",
    "bad-10", "bad-11",
];

fn faults() -> Faults {
    let bad = BAD.iter().map(|tag| ("checkout", *tag, Fault::Errors(0.8)));
    bad.collect()
}

/// Time passes.
fn pass(duration: Duration) {
    let end = crate::shop::now() + duration.as_nanos() as u64;
    while crate::shop::now() < end {
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Lets it act again: rounds come faster than three in ten minutes.
fn arm(rig: &Rig) {
    let arguments = ["arm", "--reason", "next round", "--server", &rig.server.api];
    let (code, _, said) = tidegate(&arguments);
    assert_eq!(code, 0, "{said}");
}

/// Waits until a bad release is undone: the stable template serves alone, and is the newest.
fn wait_undone(rig: &Rig, stable: &str) {
    let _ = rig.wait_row(|row| row["candidate"] == stable && row["phase"] == "stable");
    rig.wait_alone(stable);
}

/// Waits until the newest template is halted by the gate.
fn wait_halt(rig: &Rig, stable: &str) {
    let _ = rig.wait_row(|row| row["candidate"] != stable && row["verdict"] == "halt");
}

/// Scenario: while a bad release is to be undone, the API server answers 429, 409, 410 or 500 to everything, says nothing at
/// all, or is killed and comes back.
/// Guarantees: after it is well again the action is done, by exactly one patch that was taken.
#[test]
fn an_api_server_in_trouble_is_waited_out_and_nothing_is_done_twice() {
    let rig = Rig::start("", &deployment("good", UNDO), faults());
    let stable = text(&rig.row()["candidate"]);
    let troubles = [
        Some(Mode::Silent),
        None,
        Some(Mode::Status(429)),
        Some(Mode::Status(409)),
        Some(Mode::Status(410)),
        Some(Mode::Status(500)),
    ];
    for (round, trouble) in troubles.into_iter().enumerate() {
        let before = rig.stack.taken().len();
        let tried = rig.proxy.withheld();
        rig.stack.apply(&deployment(BAD[round], UNDO));
        let _ = rig.wait_row(|row| row["candidate"] != stable.as_str() && row["revision"] != "");
        match trouble {
            Some(mode) => {
                rig.proxy.set(mode);
                wait_halt(&rig, &stable);
                pass(TROUBLE);
                rig.proxy.set(Mode::Pass);
            }
            None => {
                wait_halt(&rig, &stable);
                rig.stack.restart("kube-apiserver");
            }
        }
        let began = crate::shop::now();
        wait_undone(&rig, &stable);
        let seconds = (crate::shop::now() - began) / 1_000_000_000;
        let taken = rig.stack.taken().len() - before;
        let tried = rig.proxy.withheld() - tried;
        println!(
            "{trouble:?}: {tried} requests in vain, back {seconds} s after it ended, {taken} patch taken"
        );
        assert_eq!(taken, 1, "{:#?}", rig.stack.patches());
        assert!(tried < 200, "{tried} requests in vain");
        arm(&rig);
    }
}

/// Scenario: the permission to patch is taken away while everything runs; a bad release comes; the permission is given back.
/// Guarantees: "not armed" with the reason, one page, hardly a patch tried; then the action is done.
#[test]
fn without_the_permission_it_says_so_once_and_does_not_storm() {
    let rig = Rig::start("", &deployment("good", UNDO), faults());
    let stable = text(&rig.row()["candidate"]);
    rig.stack.bind("gate");
    rig.stack.apply(&deployment(BAD[0], UNDO));
    let row = rig.wait_row(|row| row["hand"] == "blocked");
    println!("{}", row["words"]);
    let body = rig
        .server
        .wait("/v1/rollouts", |body| body["hand"]["armed"] == false);
    assert!(
        text(&body["hand"]["words"]).starts_with("not armed"),
        "{body:#}"
    );
    pass(Duration::from_secs(90));
    let tried = rig.stack.patches();
    let pages = rig.people.received();
    let pages = pages
        .iter()
        .filter(|one| one.message["type"] == "hand.not_armed")
        .count();
    println!("{} patches refused in 90 s, {pages} page", tried.len());
    assert!(rig.stack.taken().is_empty());
    assert!(tried.len() <= 1, "{tried:#?}");
    assert_eq!(pages, 1, "{:#?}", rig.people.received());
    rig.stack.bind("act");
    wait_undone(&rig, &stable);
    assert_eq!(rig.stack.taken().len(), 1);
}

/// Trials of a death.
fn trials() -> usize {
    if std::env::var_os("TIDEGATE_LONG").is_some() {
        100
    } else {
        10
    }
}

/// Scenario: Tidegate is killed with SIGKILL when it asks for the object, when its patch is on its way, taken, or answered, and
/// at the moment of the verdict; it is started again.
/// Guarantees: each time the bad release is undone, by exactly one patch that was taken.
#[test]
fn a_death_at_any_step_is_made_good() {
    let mut rig = Rig::start("", &deployment("good", UNDO), faults());
    let stable = text(&rig.row()["candidate"]);
    let mut steps = Step::ALL.map(Some).to_vec();
    steps.push(None);
    for trial in 0..trials() {
        let step = steps[trial % steps.len()];
        let before = rig.stack.taken().len();
        if let Some(step) = step {
            rig.proxy.trap(step);
        }
        rig.stack.apply(&deployment(BAD[trial % BAD.len()], UNDO));
        match step {
            Some(_) => rig.proxy.wait(),
            None => wait_halt(&rig, &stable),
        }
        rig.kill();
        let intents = rig.journal().len();
        rig.restart();
        let is_back = || rig.server.get("/v1/rollouts")["hand"]["synced"] == true;
        until_within(
            PATIENCE,
            || is_back().then_some(()),
            || "the watch is not back".to_owned(),
        );
        wait_undone(&rig, &stable);
        let taken = rig.stack.taken().len() - before;
        println!(
            "trial {trial}, killed at {step:?}: {intents} lines in actions.log then, {taken} patch taken"
        );
        assert_eq!(taken, 1, "{:#?}", rig.stack.patches());
        arm(&rig);
    }
}

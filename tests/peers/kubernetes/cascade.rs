//! Failures that spread: whose they are, and whose they are not.

use crate::halts::runs;
use crate::rig::{RATE, Rig, rollout};
use crate::server::until_within;
use crate::stack::PATIENCE;
use serde_json::Value;
use simulator::shop::Change;
use simulator::topology::Topology;
use std::time::Duration;

/// Whether an incident is open, and all of them.
fn incidents(rig: &Rig) -> (bool, Value) {
    let all = rig.server.get("/v1/incidents");
    let list = all["incidents"]
        .as_array()
        .or(all.as_array())
        .cloned()
        .unwrap_or_default();
    (list.iter().any(|one| one["state"] != "resolved"), all)
}

/// What `inventory` can take: everything that the shop asks of it, but not four times what checkout does.
fn limit(rig: &Rig, share: f64) {
    let topology = Topology::shop();
    let service = topology.find("inventory").unwrap();
    let usual = topology.traffic(service) * RATE;
    rig.shop.change(Change::Capacity {
        service,
        per_second: usual * share,
    });
}

/// Scenario: inventory can take only half of what the shop asks of it, while a good release of checkout is under way.
/// Guarantees: nothing is done to checkout.
#[test]
fn a_failure_that_began_in_the_callee_is_not_the_candidates() {
    for _ in 0..runs() {
        let rig = Rig::start("argo", &rollout("good"), Vec::new());
        rig.stack.apply(&rollout("better"));
        let _ = rig.wait_row(|row| row["phase"] == "progressing" && row["revision"] != "");
        limit(&rig, 0.5);
        until_within(
            PATIENCE,
            || incidents(&rig).0.then_some(()),
            || format!("{:#}", incidents(&rig).1),
        );
        let began = crate::shop::now();
        while crate::shop::now() - began < 30_000_000_000 {
            let row = rig.row();
            assert_ne!(row["verdict"], "halt", "{row:#}");
            assert_ne!(row["phase"], "aborted", "{row:#}");
            std::thread::park_timeout(Duration::from_millis(500));
        }
        assert!(rig.stack.patches().is_empty(), "{:?}", rig.stack.patches());
    }
}

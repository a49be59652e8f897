//! A machine loaded from its serialized state goes on exactly like the one that was never stopped.

use super::rig::{Rig, START, slo, tier};
use crate::slo::Severity;
use crate::slo_machine::SloMachine;

fn reloaded(machine: &SloMachine) -> SloMachine {
    let bytes = postcard::to_stdvec(machine).expect("serializes");
    postcard::from_bytes(&bytes).expect("deserializes")
}

/// Scenario: traffic, a pending and a firing alert, a recovery; the machine is stopped and loaded at every 97th second.
/// Guarantees: transitions, rows, alerts and bytes are those of the machine that ran through.
#[test]
fn a_restart_changes_nothing() {
    let mut waiting = slo("waiting", 999_000_000);
    waiting.tiers = vec![tier("page", Severity::Page, 14_400, 3_600)];
    waiting.tiers[0].for_secs = 120;
    let slos = [slo("availability", 999_000_000), waiting];
    let (mut through, mut stopped) = (Rig::new(&slos), Rig::new(&slos));
    for second in START..START + 1_500 {
        let bad = if (300..600).contains(&(second - START)) {
            40
        } else {
            0
        };
        for rig in [&mut through, &mut stopped] {
            rig.count_at(second, second, 1, 60, 0);
            rig.count_at(second, second.saturating_sub(7), 2, 40 - bad, bad);
        }
        if second % 97 == 0 {
            stopped.machine = reloaded(&stopped.machine);
        }
        assert_eq!(
            through.tick(second),
            stopped.tick(second),
            "second {}",
            second - START
        );
        if second % 97 == 0 {
            let (left, right) = (through.machine.rows(), stopped.machine.rows());
            assert_eq!(left, right, "second {}", second - START);
            assert_eq!(through.machine.alerts(), stopped.machine.alerts());
            let bytes = |machine| postcard::to_stdvec(machine).expect("serializes");
            assert!(
                bytes(&through.machine) == bytes(&stopped.machine),
                "second {}",
                second - START
            );
        }
    }
    assert_eq!(
        through.machine.alerts().len(),
        2,
        "both fired and resolved in between"
    );
}

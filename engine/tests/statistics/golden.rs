//! The same bits on every CPU: the state after fixed strata is a constant.
//!
//! Run it also with the C library's vector and fused paths off
//! (`GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4`); `cargo run -p engine --example float_bits` prints what differs.

use crate::rng::Rng;
use engine::hash::blake3_128;
use engine::slo::Maturity;
use engine::stats::rollout::{ArmCells, RolloutTest, Stratum, TestPolicy};

fn arm(rng: &mut Rng, units: u64, percent: u64) -> ArmCells {
    let failed = (0..units).filter(|_| rng.below(1_000) < percent).count() as u64;
    let mut latency: Vec<(u8, u64)> = (0..6)
        .map(|_| (rng.below(40) as u8, rng.below(units + 1)))
        .collect();
    latency.sort_unstable();
    ArmCells {
        units,
        failed,
        latency,
    }
}

/// The hash of a test's state after 400 strata of integer-only pseudo-random counts.
fn state_hash(maturity: Maturity) -> u128 {
    let mut rng = Rng::new(1, 1);
    let mut test = RolloutTest::new(TestPolicy::for_maturity(maturity, 1_000_000));
    for t in 0..400 {
        if t % 80 == 79 {
            test.weight_step();
        }
        let (candidate, baseline) = (rng.below(200), rng.below(2_000));
        let percent = 1 + rng.below(20);
        let candidate = arm(&mut rng, candidate, percent + t / 40);
        test.fold(&Stratum {
            candidate,
            baseline: arm(&mut rng, baseline, percent),
        });
    }
    blake3_128(
        "golden",
        &[&postcard::to_stdvec(&test).expect("serializes")],
    )
}

/// Scenario: 400 strata with all processes at work. Guarantees: states equal the recorded ones, bit for bit.
#[test]
fn states_are_the_same_on_every_cpu() {
    let hashes = [
        Maturity::Prototype,
        Maturity::Growth,
        Maturity::MissionCritical,
    ]
    .map(state_hash);
    println!("{hashes:#034x?}");
    assert_eq!(hashes, GOLDEN);
}

const GOLDEN: [u128; 3] = [
    0x1706015919f5bb592e7026e9fc3f9a0f,
    0x07e1ec16830c0b4f7e43dc4dae604390,
    0xef7eef007408be15169382edc3b75d4d,
];

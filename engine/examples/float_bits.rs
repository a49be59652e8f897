//! Prints fingerprints of the standard library's exp, of the software exp, and of the gate's statistics.
//!
//! Run it twice, the second time with `GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4`: on a CPU with FMA the first
//! line differs (why std float functions are banned in the engine), the other two must not.

use engine::hash::blake3_128;
use engine::slo::Maturity;
use engine::stats::rollout::{ArmCells, RolloutTest, Stratum, TestPolicy};

const POINTS: u32 = 200_000;

fn main() {
    println!("std_exp  {:032x}", fingerprint(std_exp));
    println!("libm_exp {:032x}", fingerprint(libm::exp));
    println!("gate     {:032x}", gate());
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the control: it shows why the method is banned"
)]
fn std_exp(x: f64) -> f64 {
    x.exp()
}

fn fingerprint(exp: fn(f64) -> f64) -> u128 {
    let bits: Vec<u8> = (0..POINTS)
        .flat_map(|i| {
            exp(std::hint::black_box(f64::from(i) * 0.000_731 - 70.0))
                .to_bits()
                .to_le_bytes()
        })
        .collect();
    blake3_128("exp", &[&bits])
}

/// Integer-only pseudo-random strata through every process of a rollout.
fn gate() -> u128 {
    let mut test = RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 1_000_000));
    let mut state = 1u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..1_000 {
        let mut arm = |units: u64| {
            let latency = (0..5).map(|_| (draw(40) as u8, draw(units))).collect();
            ArmCells {
                units,
                failed: draw(units / 8),
                latency,
            }
        };
        test.fold(&Stratum {
            candidate: arm(100),
            baseline: arm(900),
        });
    }
    blake3_128("gate", &[&postcard::to_stdvec(&test).unwrap_or_default()])
}

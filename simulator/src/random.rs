//! The one source of chance: SplitMix64, so that a seed means the same shop on every machine and for ever.
//!
//! A library generator would do as well today, but its stream may change with its version, and recorded runs
//! and golden decisions hang on the stream. Logarithms and exponentials are `libm`'s: the standard ones differ
//! between CPUs. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).

/// A seeded stream of chance. Cloning it repeats the stream.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: a bijection of `u64` whose output looks random even for counters.
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Folds text into a number: FNV-1a, then [`mix`]. For names that must be stable, not for security.
pub fn mix_text(text: &str) -> u64 {
    let folded = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(folded)
}

impl Random {
    /// The stream of `seed`; `purpose` separates independent streams of one seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self {
            state: mix(seed) ^ mix_text(purpose),
        }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let out = mix(self.state);
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        out
    }

    /// Like [`Self::bits`] but never 0, which OTLP forbids for ids.
    pub fn nonzero(&mut self) -> u64 {
        self.bits().max(1)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with `probability` (0..=1).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..count`; 0 for `count` 0. The bias of the multiply-shift is below `count / 2^64`.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// An index of `shares`, chosen with probability proportional to its share; 0 when all are 0.
    pub fn weighted(&mut self, shares: impl Iterator<Item = u64> + Clone) -> usize {
        let total: u64 = shares.clone().sum();
        let mut left = self.below(total as usize) as u64;
        for (index, share) in shares.enumerate() {
            if left < share {
                return index;
            }
            left -= share;
        }
        0
    }

    /// Exponential with `mean`: the gaps of a Poisson arrival process.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Log-normal with `median` and shape `sigma`: how service times look.
    ///
    /// The normal deviate is the sum of twelve uniforms (Irwin-Hall): exact to the eye up to three sigma and never
    /// beyond six, so no request ever takes absurdly long.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        median * libm::exp(sigma * normal)
    }
}

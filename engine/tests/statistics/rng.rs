//! A seeded generator and the few distributions the simulations need.

/// SplitMix64: small, fast, passes BigCrush; one stream per seed.
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of `seed` and `stream` (a cell, a run).
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        rng.next();
        rng.next();
        rng
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1, never 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Whether something of probability `p` happens.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Successes of `n` trials: jumps from success to success, O(n p).
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p <= 0.0 {
            return 0;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let per_failure = libm::log1p(-p);
        let (mut successes, mut position) = (0, 0u64);
        loop {
            position += (libm::log(self.uniform()) / per_failure) as u64 + 1;
            if position > n {
                return successes;
            }
            successes += 1;
        }
    }

    /// Candidate's failures out of `k`, at odds ratio `w`, given both arms' units (Fisher's noncentral hypergeometric).
    pub(crate) fn fisher(&mut self, candidate: u64, baseline: u64, k: u64, w: f64) -> u64 {
        let (low, high) = (k.saturating_sub(baseline), k.min(candidate));
        let mut terms = vec![1.0f64];
        for j in low..high {
            let up = (candidate - j) as f64 * (k - j) as f64 * w;
            let down = (j + 1) as f64 * (baseline + j + 1 - k) as f64;
            terms.push(terms[terms.len() - 1] * up / down);
        }
        let mut left = self.uniform() * terms.iter().sum::<f64>();
        for (step, term) in terms.iter().enumerate() {
            left -= term;
            if left < 0.0 {
                return low + step as u64;
            }
        }
        high
    }
}

/// A binomial distribution drawn from its table: for many draws of one kind with many successes.
pub(crate) struct Binomial {
    cumulative: Vec<f64>,
}

impl Binomial {
    /// `n` up to about 1,000, so that the first probability is no underflow.
    pub(crate) fn new(n: u64, p: f64) -> Self {
        let mut term = libm::exp(n as f64 * libm::log1p(-p));
        let mut total = term;
        let mut cumulative = vec![total];
        for k in 0..n {
            term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
            total += term;
            cumulative.push(total);
        }
        Self { cumulative }
    }

    /// One draw, O(log n).
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        let at = rng.uniform() * self.cumulative[self.cumulative.len() - 1];
        self.cumulative.partition_point(|total| *total < at) as u64
    }
}

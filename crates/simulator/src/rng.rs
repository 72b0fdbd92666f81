//! Randomness in named streams: each stream depends on the seed and its name only, so that a device added to a fleet does
//! not change what the others do.
use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    inner: StdRng,
    /// The second value of the last Box-Muller pair.
    spare: Option<f64>,
}

impl Rng {
    /// The stream of a seed and a name (FNV-1a over both; the names are ours, so collisions are not attacks).
    pub(crate) fn stream(seed: u64, name: &[&str]) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        seed.to_le_bytes().into_iter().for_each(&mut eat);
        for part in name {
            part.bytes().for_each(&mut eat);
            eat(0xff);
        }
        Self {
            inner: StdRng::seed_from_u64(hash),
            spare: None,
        }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.inner.next_u64()
    }

    /// 16 random bytes, as session and visit ids are.
    pub(crate) fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.inner.fill_bytes(&mut id);
        id
    }

    /// Uniform in `low..=high`; `low` if the range is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        if low >= high {
            return low;
        }
        self.inner.random_range(low..=high)
    }

    /// Uniform in `low..high`.
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.inner.random::<f64>()
    }

    /// True with probability `share`.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.inner.random::<f64>() < share
    }

    /// Standard normal (Box-Muller).
    pub(crate) fn gaussian(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - u is in (0, 1]: its logarithm is finite.
        let radius = (-2.0 * (1.0 - self.inner.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.inner.random::<f64>()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// An element by weights. `first` answers for an empty table.
    pub(crate) fn weighted<T: Copy>(&mut self, first: T, table: &[(T, u32)]) -> T {
        let total: u32 = table.iter().map(|&(_, weight)| weight).sum();
        let mut left = self.between(1, u64::from(total.max(1))) as u32;
        for &(value, weight) in table {
            if left <= weight {
                return value;
            }
            left -= weight;
        }
        first
    }
}

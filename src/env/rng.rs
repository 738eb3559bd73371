//! Random numbers as a parameter: the same seed gives the same numbers.

use parking_lot::Mutex;

/// A seeded source of random numbers, shared between threads.
#[derive(Debug)]
pub struct Rng(Mutex<fastrand::Rng>);

impl Rng {
    /// Numbers that follow from `seed` alone.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Numbers from the operating system's seed.
    ///
    /// Errors: the operating system gives no entropy.
    pub fn from_os() -> Result<Self, getrandom::Error> {
        let mut seed = [0u8; 8];
        getrandom::fill(&mut seed)?;
        Ok(Self::seeded(u64::from_le_bytes(seed)))
    }

    /// Fills `out`.
    pub fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill(out);
    }

    /// A number below `bound`, or 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.lock().u64(..bound) }
    }

    /// Sixteen random bytes: an identity that is not handed out twice.
    pub fn id(&self) -> [u8; 16] {
        // WHY: identities must not repeat across processes, so a seed of 64 bits alone will not do outside
        // simulation; `from_os` is drawn anew by each process and identities are made rarely.
        let mut id = [0u8; 16];
        self.fill(&mut id);
        id
    }
}

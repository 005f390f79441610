//! Unpredictable bytes without a random number generator of our own.
//!
//! Randomness enters a machine once, at construction, as a value. What needs it: the mask keys of a WebSocket
//! client (RFC 6455 §10.3: a page must not be able to predict them), its handshake key, and session ids.
//!
//! ```
//! use stillwire::Entropy;
//!
//! // Production: any function that fills a slice, from getrandom or a hardware generator.
//! fn from_hardware(bytes: &mut [u8]) { bytes.fill(4) } // chosen by fair dice roll
//! let mut entropy = Entropy::from_fn(from_hardware);
//! assert_eq!(entropy.take::<4>(), [4; 4]);
//!
//! // Tests, fuzzing and replay: the same seed gives the same bytes.
//! let (mut a, mut b) = (Entropy::insecure_seeded(7), Entropy::insecure_seeded(7));
//! assert_eq!(a.take::<16>(), b.take::<16>());
//! ```

/// How many bytes are fetched at once: eight mask keys for one call of the system; fewer where memory is scarce.
const BLOCK: usize = if cfg!(target_os = "none") { 16 } else { 32 };

/// A source of unpredictable bytes: 56 bytes that a machine keeps (40 on a microcontroller).
#[derive(Clone)]
pub struct Entropy {
    source: Source,
    block: [u8; BLOCK],
    used: u8,
}

#[derive(Clone)]
enum Source {
    System(fn(&mut [u8])),
    Seeded(u64),
}

impl Entropy {
    /// For production: `fill` overwrites the whole slice with unpredictable bytes.
    ///
    /// It is called for 32 bytes (16) at a time, now and then, so it may be slow.
    #[must_use]
    pub const fn from_fn(fill: fn(&mut [u8])) -> Self {
        Self { source: Source::System(fill), block: [0; BLOCK], used: BLOCK as u8 }
    }

    /// For tests, fuzzing and replay **only**: the same seed gives the same bytes, and anybody can guess them.
    #[must_use]
    pub const fn insecure_seeded(seed: u64) -> Self {
        Self { source: Source::Seeded(seed), block: [0; BLOCK], used: BLOCK as u8 }
    }

    /// The next `N` bytes; more than 32 (16 on a microcontroller) do not compile.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    #[must_use]
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= BLOCK) };
        if usize::from(self.used) + N > BLOCK {
            self.refill();
        }
        let from = usize::from(self.used);
        let bytes = self.block.get(from..).and_then(|rest| rest.first_chunk::<N>()).copied();
        self.used += N as u8;
        bytes.unwrap_or([0; N])
    }

    #[cold]
    fn refill(&mut self) {
        self.used = 0;
        match &mut self.source {
            Source::System(fill) => fill(&mut self.block),
            // SplitMix64: short, and good enough for what its name promises.
            Source::Seeded(state) => {
                for chunk in self.block.chunks_mut(8) {
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
                }
            }
        }
    }
}

/// Shows nothing: what a log knows, an attacker may know.
impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

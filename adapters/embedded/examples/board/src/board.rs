//! What is peculiar to these boards: the clock, the console, the stack, and no random numbers.

use core::{
    panic::PanicInfo,
    ptr::{addr_of, read_volatile},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use cortex_m_semihosting::{debug, hio};
use stillwire::{Entropy, Instant};

#[cfg(feature = "mps2-an386")]
const CLOCK: u32 = 25_000_000;
#[cfg(not(feature = "mps2-an386"))]
const CLOCK: u32 = 12_500_000;

/// Milliseconds since boot. It wraps after 49 days, and `now` counts how often.
static TICKS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // The only writer: a Cortex-M0 has no atomic addition.
    TICKS.store(TICKS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The clock.
pub struct Clock {
    last: u32,
    wraps: u32,
}

impl Clock {
    pub fn start(mut timer: SYST) -> Self {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(CLOCK / 1000 - 1);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
        Self { last: 0, wraps: 0 }
    }

    /// Milliseconds since boot.
    pub fn millis(&mut self) -> u64 {
        let ticks = TICKS.load(Ordering::Relaxed);
        self.wraps += u32::from(ticks < self.last);
        self.last = ticks;
        u64::from(self.wraps) << 32 | u64::from(ticks)
    }

    pub fn now(&mut self) -> Instant {
        Instant::since_epoch(Duration::from_millis(self.millis()))
    }
}

/// Where a product asks its generator of random numbers. **These boards have none, and what stands here can be
/// guessed**: the moment of a packet, stirred. Good enough to tell demonstrations apart, and for nothing else.
pub fn entropy() -> Entropy {
    static STATE: AtomicU32 = AtomicU32::new(0x9e37_79b9);
    Entropy::from_fn(|bytes| {
        let mut state =
            STATE.load(Ordering::Relaxed) ^ SYST::get_current() ^ TICKS.load(Ordering::Relaxed) << 16;
        for byte in bytes {
            for shift in [13_i32, -17, 5] {
                state ^= if shift > 0 { state << shift } else { state >> -shift };
            }
            *byte = (state >> 11) as u8;
        }
        STATE.store(state | 1, Ordering::Relaxed);
    })
}

/// A line on the console of the debugger.
pub fn say(line: &str) {
    if let Ok(mut console) = hio::hstdout() {
        let _ = console.write_all(line.as_bytes());
        let _ = console.write_all(b"\n");
    }
}

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The most bytes of stack that were ever in use, told by the paint that cortex-m-rt put there before `main`.
pub fn stack_peak() -> u32 {
    let (top, mut at) = (addr_of!(_stack_start) as usize, addr_of!(_stack_end) as usize);
    // SAFETY: words of RAM between two symbols of the linker.
    while at < top && unsafe { read_volatile(at as *const u32) } == 0xcccc_cccc {
        at += 4;
    }
    (top - at) as u32
}

/// Where it happened, without formatting.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say("panic at");
    if let Some(place) = info.location() {
        say(place.file());
        let mut digits = [0; 10];
        say(crate::json::decimal(place.line(), &mut digits));
    }
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

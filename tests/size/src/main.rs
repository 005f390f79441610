//! One endpoint in an image: it is fed a conversation in pieces of 64 bytes, its answers are summed up, and then it says how
//! deep the stack was, how many bytes it sent, what their sum is, how large its state is, and how long the conversation was.
#![no_std]
#![no_main]

use core::ptr::{addr_of, read_volatile, write_volatile};

use cortex_m_semihosting::{debug, syscall1};

#[cfg(feature = "ours")]
mod ours;
#[cfg(feature = "ours")]
use ours::run;

#[cfg(any(
    feature = "embedded-websocket",
    feature = "edge-ws",
    feature = "picoserve",
    feature = "websocket-sans-io"
))]
mod peers;
#[cfg(any(
    feature = "embedded-websocket",
    feature = "edge-ws",
    feature = "picoserve",
    feature = "websocket-sans-io"
))]
use peers::run;

/// Copies what comes, moves it, and clears it: the compiler's functions for that are in every firmware that has a network, so
/// they are not counted as anybody's.
#[cfg(feature = "bare")]
fn run(wire: &mut Wire) -> Option<usize> {
    let (buffer, other) = (memory::<0>(), memory::<1>());
    loop {
        match wire.get(buffer) {
            0 => return Some(0),
            n => {
                other[..n].copy_from_slice(&buffer[..n]);
                other.copy_within(..n, 1);
                wire.put(&other[1..=n]);
                buffer[n..].fill(0);
            }
        }
    }
}

/// What a browser says to open a WebSocket.
#[allow(dead_code)]
pub const UPGRADE: &[u8] = b"GET /chat HTTP/1.1\r\nHost: 10.0.2.15:80\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
    Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nUpgrade: websocket\r\n\
    Origin: http://10.0.2.15\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-US,en;q=0.9\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// A masked text of 200 times "a", and a masked close frame with code 1000.
#[allow(dead_code)]
pub const FRAMES: &[u8] = &{
    let mut frames = [0; 8 + 200 + 8];
    let head = [0x81, 0xfe, 0, 200, 1, 2, 3, 4];
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
    let mut i = 0;
    while i < 8 {
        frames[i] = head[i];
        frames[208 + i] = close[i];
        i += 1;
    }
    while i < 208 {
        frames[i] = b'a' ^ (i as u8 % 4 + 1);
        i += 1;
    }
    frames
};

#[cfg(not(feature = "ours"))]
static CONVERSATION: &[&[u8]] = &[UPGRADE, FRAMES];
#[cfg(feature = "ours")]
use ours::CONVERSATION;

/// The other end: what it says, and what it was told.
pub struct Wire {
    line: usize,
    at: usize,
    sum: u32,
    sent: u32,
}

impl Wire {
    /// The next bytes, at most 64; none at the end. Read so that the compiler cannot know them.
    pub fn get(&mut self, into: &mut [u8]) -> usize {
        while let Some(line) = CONVERSATION.get(self.line) {
            let rest = line.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                (self.line, self.at) = (self.line + 1, 0);
                // An empty line is the end of a connection.
                if line.is_empty() {
                    return 0;
                }
                continue;
            }
            let mut n = 0;
            for (to, from) in into.iter_mut().zip(rest).take(64) {
                // SAFETY: a reference is valid to read from.
                *to = unsafe { read_volatile(from) };
                n += 1;
            }
            self.at += n;
            return n;
        }
        0
    }

    /// Looked at, so that the compiler cannot leave them out.
    pub fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // SAFETY: a reference is valid to write to.
            unsafe {
                write_volatile(&mut self.sum, self.sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
            };
            self.sent = self.sent.wrapping_add(1);
        }
    }

    /// Whether it has nothing more to say.
    #[allow(dead_code)]
    pub fn is_over(&self) -> bool {
        self.line >= CONVERSATION.len()
    }

    /// Peers that read a request by themselves, and give what they read too far back.
    #[allow(dead_code)]
    pub fn unget(&mut self, n: usize) {
        self.at = self.at.saturating_sub(n);
    }
}

/// A kilobyte, once for each number.
#[allow(dead_code)]
pub fn memory<const N: usize>() -> &'static mut [u8; 1024] {
    static mut MEMORY: [[u8; 1024]; 6] = [[0; 1024]; 6];
    // SAFETY: one core, no interrupts, and each number is asked for once.
    unsafe { &mut *(&raw mut MEMORY).cast::<[u8; 1024]>().add(N) }
}

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// By the paint that cortex-m-rt put there.
fn stack_peak() -> u32 {
    let (top, mut at) = (addr_of!(_stack_start) as usize, addr_of!(_stack_end) as usize);
    // SAFETY: words of RAM between two symbols of the linker.
    while at < top && unsafe { read_volatile(at as *const u32) } == 0xcccc_cccc {
        at += 4;
    }
    (top - at) as u32
}

fn say(mut number: u32) {
    let mut text = *b"           \0";
    for place in text.iter_mut().rev().skip(1) {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // SAFETY: WRITE0 takes the address of a text that ends with a zero.
    unsafe { syscall1!(WRITE0, text.as_ptr() as usize) };
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut wire = Wire { line: 0, at: 0, sum: 0, sent: 0 };
    let state = run(&mut wire);
    say(stack_peak());
    say(wire.sent);
    say(wire.sum);
    say(state.unwrap_or_default() as u32);
    say(CONVERSATION.iter().map(|line| line.len() as u32).sum());
    debug::exit(if state.is_some() { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {}
}

#[cfg(not(feature = "no-panic"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(feature = "no-panic")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn there_is_a_panic_on_the_way_of_a_byte() -> !;
    }
    // SAFETY: it is never linked.
    unsafe { there_is_a_panic_on_the_way_of_a_byte() }
}

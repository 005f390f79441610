//! The network controllers of the two boards, polled: frames in, frames out.
//!
//! This is the only place with unsafe code: the registers of a device.

use core::ptr::{read_volatile, write_volatile};

use smoltcp::{
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

/// Locally administered; any will do.
pub const ADDRESS: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// The longest frame, without its checksum.
const FRAME: usize = 1514;

/// What a driver of a controller does.
trait Controller {
    /// Copies a frame that has arrived to `frame`; its length. `None`: there is none, or it was broken.
    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize>;
    /// Whether `send` may be called.
    fn can_send(&mut self) -> bool;
    fn send(&mut self, frame: &[u8]);
}

fn read(register: usize) -> u32 {
    // SAFETY: only called with the addresses of registers of the selected board.
    unsafe { read_volatile(register as *const u32) }
}

fn write(register: usize, value: u32) {
    // SAFETY: as above.
    unsafe { write_volatile(register as *mut u32, value) }
}

/// Up to four bytes, as the controllers take them.
fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
    u32::from_le_bytes(word)
}

/// SMSC LAN9118, where the MPS2 has it.
#[cfg(feature = "mps2-an386")]
pub struct Chip;

#[cfg(feature = "mps2-an386")]
impl Chip {
    const BASE: usize = 0x4020_0000;

    pub fn start() -> Option<Self> {
        let mac = |register: u32, value| {
            let busy = || while read(Self::BASE + 0xa4) & (1 << 31) != 0 {};
            busy();
            write(Self::BASE + 0xa8, value);
            write(Self::BASE + 0xa4, (1 << 31) | register);
            busy();
        };
        // BYTE_TEST: is it that chip?
        if read(Self::BASE + 0x64) != 0x8765_4321 {
            return None;
        }
        write(Self::BASE + 0x74, 1); // HW_CFG: reset
        while read(Self::BASE + 0x74) & 1 != 0 {}
        write(Self::BASE + 0x74, (1 << 20) | (5 << 16)); // whole frames, 5 KiB for sending
        write(Self::BASE + 0x5c, 0); // no interrupts
        mac(3, word(&ADDRESS[..4]));
        mac(2, word(&ADDRESS[4..]));
        write(Self::BASE + 0x70, 1 << 1); // TX_CFG: on
        mac(1, (1 << 20) | (1 << 3) | (1 << 2)); // full duplex, send, receive
        Some(Self)
    }
}

#[cfg(feature = "mps2-an386")]
impl Controller for Chip {
    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize> {
        if (read(Self::BASE + 0x7c) >> 16) & 0xff == 0 {
            return None;
        }
        let status = read(Self::BASE + 0x40);
        let whole = ((status >> 16) & 0x3fff) as usize; // with the checksum, of 4 bytes
        let mut places = frame.iter_mut();
        for _ in 0..whole.div_ceil(4) {
            let bytes = read(Self::BASE).to_le_bytes();
            places.by_ref().zip(bytes).for_each(|(to, byte)| *to = byte);
        }
        let len = whole.saturating_sub(4);
        (status & (1 << 15) == 0 && len <= FRAME).then_some(len)
    }

    fn can_send(&mut self) -> bool {
        read(Self::BASE + 0x80) & 0xffff >= 1600
    }

    fn send(&mut self, frame: &[u8]) {
        let len = frame.len() as u32;
        write(Self::BASE + 0x20, (1 << 13) | (1 << 12) | len);
        write(Self::BASE + 0x20, len);
        frame.chunks(4).for_each(|bytes| write(Self::BASE + 0x20, word(bytes)));
        while (read(Self::BASE + 0x80) >> 16) & 0xff != 0 {
            let _ = read(Self::BASE + 0x48); // how it went; a full queue of these stops the controller
        }
    }
}

/// The controller inside of the LM3S6965.
#[cfg(not(feature = "mps2-an386"))]
pub struct Chip;

#[cfg(not(feature = "mps2-an386"))]
impl Chip {
    const BASE: usize = 0x4004_8000;

    pub fn start() -> Option<Self> {
        write(Self::BASE + 0x04, 0); // no interrupts
        write(Self::BASE + 0x14, word(&ADDRESS[..4]));
        write(Self::BASE + 0x18, word(&ADDRESS[4..]));
        write(Self::BASE + 0x1c, 0x3f); // send whole frames
        write(Self::BASE + 0x0c, 0b1111); // TCTL: full duplex, checksum, padding, on
        write(Self::BASE + 0x08, 0b1_0000); // RCTL: empty the queue
        write(Self::BASE + 0x08, 0b0_0011); // RCTL: multicast, on
        Some(Self)
    }
}

#[cfg(not(feature = "mps2-an386"))]
impl Controller for Chip {
    fn receive(&mut self, frame: &mut [u8; FRAME]) -> Option<usize> {
        if read(Self::BASE + 0x34) & 0x3f == 0 {
            return None;
        }
        // The first word has the length (2 bytes for itself, 4 for the checksum) and the first two bytes.
        let [low, high, first, second] = read(Self::BASE + 0x10).to_le_bytes();
        let whole = usize::from(u16::from_le_bytes([low, high]));
        let mut places = frame.iter_mut();
        places.by_ref().zip([first, second]).for_each(|(to, byte)| *to = byte);
        for _ in 1..whole.div_ceil(4) {
            let bytes = read(Self::BASE + 0x10).to_le_bytes();
            places.by_ref().zip(bytes).for_each(|(to, byte)| *to = byte);
        }
        let len = whole.saturating_sub(6);
        (len <= FRAME).then_some(len)
    }

    fn can_send(&mut self) -> bool {
        read(Self::BASE + 0x38) & 1 == 0
    }

    fn send(&mut self, frame: &[u8]) {
        let (head, rest) = frame.split_at(2.min(frame.len()));
        let payload = frame.len().saturating_sub(14) as u32;
        write(Self::BASE + 0x10, payload | (word(head) << 16));
        rest.chunks(4).for_each(|bytes| write(Self::BASE + 0x10, word(bytes)));
        write(Self::BASE + 0x38, 1); // TR: go
    }
}

/// A controller with a frame of memory for each direction: what smoltcp wants.
pub struct Ethernet {
    chip: Chip,
    arrived: [u8; FRAME],
    leaving: [u8; FRAME],
}

impl Ethernet {
    pub const fn new(chip: Chip) -> Self {
        Self { chip, arrived: [0; FRAME], leaving: [0; FRAME] }
    }
}

pub struct Arrived<'a>(&'a [u8]);

impl RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub struct Leaving<'a>(&'a mut Chip, &'a mut [u8; FRAME]);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let frame = &mut self.1[..len];
        let result = f(frame);
        self.0.send(frame);
        result
    }
}

impl Device for Ethernet {
    type RxToken<'a> = Arrived<'a>;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        if !self.chip.can_send() {
            return None;
        }
        let len = self.chip.receive(&mut self.arrived)?;
        Some((Arrived(&self.arrived[..len]), Leaving(&mut self.chip, &mut self.leaving)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        self.chip.can_send().then_some(Leaving(&mut self.chip, &mut self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities.medium = Medium::Ethernet;
        capabilities
    }
}

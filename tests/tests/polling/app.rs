//! What both sides say and hear, by dice.

use stillwire::{Outbox, Transport, polling::Event};

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
    pub(crate) fn happens(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// Message `n` of one side: sometimes binary, sometimes full of escapes, of all sizes.
fn message(side: u8, n: u64) -> (bool, Vec<u8>) {
    let mut dice = Dice(n * 2 + u64::from(side));
    let len = if dice.happens(20) { dice.roll(90) } else { dice.roll(20) };
    let mut content = format!("{}{n} ", side as char).into_bytes();
    let binary = dice.happens(30);
    for _ in 0..len {
        content.push(if binary { dice.roll(256) as u8 } else { b"a\"\\ \x01z"[dice.roll(6) as usize] });
    }
    content.truncate(if content.contains(&1) && !binary { 24 } else { 90 });
    (binary, content)
}

/// The application of one side.
pub(crate) struct App {
    side: u8,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) closed: Option<u16>,
    pub(crate) asked_to_close: bool,
}

impl App {
    pub(crate) fn new(side: u8) -> Self {
        Self { side, sent: 0, received: 0, closed: None, asked_to_close: false }
    }
    pub(crate) fn hear(&mut self, event: Event<'_>) {
        assert_eq!(self.closed, None, "an event after the end");
        let (binary, content) = match event {
            Event::Text(text) => (false, text.as_bytes()),
            Event::Binary(bytes) => (true, bytes),
            Event::Closed { code, .. } => {
                self.closed = Some(code);
                return;
            }
        };
        let other = if self.side == b'c' { b's' } else { b'c' };
        let expected = message(other, self.received);
        assert_eq!((binary, content), (expected.0, expected.1.as_slice()), "message {}", self.received);
        self.received += 1;
    }
    /// Sends one more; false when there is no room.
    pub(crate) fn say(&mut self, machine: &mut impl Transport, outbox: &mut Outbox<'_>) -> bool {
        let (binary, content) = message(self.side, self.sent);
        let kind = if binary { stillwire::Kind::Binary } else { stillwire::Kind::Text };
        let (before, behind) = content.split_at(content.len() / 2);
        match machine.send(kind, &[before, behind], outbox) {
            Ok(()) => self.sent += 1,
            Err(stillwire::SendError::Full(_)) => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }
}

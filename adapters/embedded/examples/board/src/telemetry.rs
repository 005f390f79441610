//! What is measured, twice a second. The last readings are kept, so that a subscriber who was away gets what it missed.

use crate::json::Object;

/// How often, in milliseconds.
const EVERY: u64 = 500;
/// How many are kept.
const KEPT: u32 = 16;

#[derive(Clone, Copy)]
pub struct Reading {
    /// From 1.
    pub number: u32,
    uptime: u32,
    loops: u32,
    /// Hundredths of a degree.
    celsius: i32,
}

impl Reading {
    pub fn json(&self) -> Object<96> {
        let object = Object::new().number("n", self.number).number("uptime_ms", self.uptime);
        object.number("loops", self.loops).hundredths("celsius", self.celsius).end()
    }
}

pub struct Telemetry {
    readings: [Reading; KEPT as usize],
    /// The number of the next one.
    next: u32,
    due: u64,
    loops: u32,
    noise: u32,
}

impl Telemetry {
    pub const fn new() -> Self {
        let none = Reading { number: 0, uptime: 0, loops: 0, celsius: 0 };
        Self { readings: [none; KEPT as usize], next: 1, due: 0, loops: 0, noise: 1 }
    }

    /// Once each time round the main loop.
    pub fn tick(&mut self, millis: u64) {
        self.loops = self.loops.wrapping_add(1);
        if millis < self.due {
            return;
        }
        self.due = millis + EVERY;
        let celsius = self.sensor();
        let reading = Reading { number: self.next, uptime: millis as u32, loops: self.loops, celsius };
        self.readings[(self.next % KEPT) as usize] = reading;
        self.next += 1;
    }

    /// A room of 21 degrees and some noise.
    fn sensor(&mut self) -> i32 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        2_100 + (self.noise >> 24) as i32 - 128
    }

    /// The last one's number.
    pub fn last(&self) -> u32 {
        self.next - 1
    }

    /// The first reading behind `seen` that is still there.
    pub fn after(&self, seen: u32) -> Option<&Reading> {
        let number = (seen + 1).max(self.next.saturating_sub(KEPT)).max(1);
        (number < self.next).then(|| &self.readings[(number % KEPT) as usize])
    }

    pub fn loops(&self) -> u32 {
        self.loops
    }
}

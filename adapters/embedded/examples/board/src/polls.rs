//! Telemetry by long polling: sessions that outlive their exchanges, in memory that is used again and again.

use core::time::Duration;

use static_cell::ConstStaticCell;
use stillwire::{
    Entropy, Inbox, Instant, Link, Outbox, Want,
    polling::{Config, Connection, Session, Sid},
};

use crate::telemetry::Telemetry;

/// How many clients may poll at the same time.
const SESSIONS: usize = 3;
/// What a pipe of `Config::TINY` needs.
const PIPE: usize = 600;
const INBOX: usize = 512;
const OUTBOX: usize = 512;

static MEMORY: ConstStaticCell<[([u8; PIPE], [u8; PIPE], [u8; INBOX], [u8; OUTBOX]); SESSIONS]> =
    ConstStaticCell::new([([0; PIPE], [0; PIPE], [0; INBOX], [0; OUTBOX]); SESSIONS]);

/// A client: its session, and the machine that owns it.
pub struct Poll {
    pub session: Session<'static>,
    owner: Link<'static, Connection>,
    /// The last reading that it was sent.
    seen: u32,
}

pub struct Polls {
    all: [Option<Poll>; SESSIONS],
    entropy: Entropy,
}

impl Polls {
    pub fn new(mut entropy: Entropy) -> Self {
        let mut config = Config::TINY;
        config.wait = Duration::from_secs(10);
        config.empty_within = Duration::from_secs(15);
        let memory = MEMORY.take();
        let all = memory.each_mut().map(|(up, down, inbox, outbox)| {
            let (up, down) = (Inbox::new(up), Inbox::new(down));
            let mut session = Session::over(Sid::new(&mut entropy), &config, up, down, Instant::EPOCH);
            let mut owner = Link::new(session.connection(), Inbox::new(inbox), Outbox::new(outbox));
            // A client between two requests is not stalled: the session says when it is gone.
            owner.stall = Duration::from_secs(60);
            let _ = session.end(); // nobody's yet
            Some(Poll { session, owner, seen: 0 })
        });
        Self { all, entropy }
    }

    /// A session for a new client; `None` when all are in use.
    pub fn open(&mut self, now: Instant, telemetry: &Telemetry) -> Option<&mut Poll> {
        let place =
            self.all.iter_mut().find(|poll| poll.as_ref().is_some_and(|poll| poll.session.is_over()))?;
        let Poll { session, owner, .. } = place.take()?;
        let session = session.renew(Sid::new(&mut self.entropy), now);
        let owner = owner.renew(session.connection());
        Some(place.insert(Poll { session, owner, seen: telemetry.last().saturating_sub(1) }))
    }

    pub fn find(&mut self, sid: Sid) -> Option<&mut Poll> {
        self.all.iter_mut().flatten().find(|poll| poll.session.sid() == sid && !poll.session.is_over())
    }

    /// How many are in use.
    pub fn count(&self) -> u32 {
        self.all.iter().flatten().filter(|poll| !poll.session.is_over()).count() as u32
    }

    pub fn turn(&mut self, now: Instant, telemetry: &Telemetry) {
        self.all
            .iter_mut()
            .flatten()
            .filter(|poll| !poll.session.is_over())
            .for_each(|poll| poll.turn(now, telemetry));
    }
}

impl Poll {
    fn turn(&mut self, now: Instant, telemetry: &Telemetry) {
        self.session.tick(now);
        while let Some(reading) = telemetry.after(self.seen) {
            let json = reading.json();
            if self.owner.machine.send_text(json.as_str(), &mut self.owner.outbox).is_err() {
                break; // later; what is overwritten by then is lost to it
            }
            self.seen = reading.number;
        }
        loop {
            match self.owner.want(now) {
                Ok(Want::Deliver) => drop(self.owner.turn()), // what the page says is not for us
                Ok(Want::Write { .. }) => match self.session.write(self.owner.outbox.chunk()) {
                    0 => return,
                    n => self.owner.outbox.advance(n),
                },
                Ok(Want::Read { .. }) => match self.session.read(self.owner.inbox.spare()) {
                    None => return,
                    Some(0) => self.owner.inbox.finish(),
                    Some(n) => self.owner.inbox.filled(n),
                },
                Ok(Want::Finish) => {
                    self.session.finish();
                    self.owner.shut();
                }
                Ok(Want::Wait { .. } | Want::Close) | Err(_) => return,
            }
        }
    }
}

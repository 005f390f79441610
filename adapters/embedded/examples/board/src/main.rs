//! A firmware: a page, a WebSocket echo, and telemetry over three transports, for several clients at once, in 64 KiB of RAM
//! without a heap. `run.sh` builds it and boots it in QEMU.
//!
//! | path | what |
//! |---|---|
//! | `/` | a page that shows the rest |
//! | `/echo` | WebSocket: says everything back |
//! | `/live` | WebSocket: a reading twice a second |
//! | `/events` | Server-Sent Events: the same; `Last-Event-ID` brings back what was missed |
//! | `/poll/…` | long polling: the same |
//! | `/stats` | how the board is |
//!
//! There is one loop. It moves frames, then gives each connection its turn, then sleeps until the next tick of the clock unless
//! something happened.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod board;
mod drive;
mod json;
#[allow(unsafe_code)]
mod nic;
mod polls;
mod slot;
mod telemetry;

use smoltcp::{
    iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage},
    socket::tcp,
    wire::{IpCidr, Ipv4Address, Ipv4Cidr},
};
use static_cell::{ConstStaticCell, StaticCell};

use crate::{
    board::Clock,
    json::Object,
    nic::Ethernet,
    polls::Polls,
    slot::{INBOX, OUTBOX, Slot},
    telemetry::Telemetry,
};

/// Clients at once.
const SLOTS: usize = 6;
/// TCP's own buffers.
const RECEIVE: usize = 1024;
const SEND: usize = 1024;

/// What a client hears when all slots are taken.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
    content-type: text/plain\r\ncontent-length: 22\r\n\r\nall my slots are taken";

/// The memory of a slot.
struct Memory {
    inbox: [u8; INBOX],
    outbox: [u8; OUTBOX],
    receive: [u8; RECEIVE],
    send: [u8; SEND],
}

static MEMORY: ConstStaticCell<[Memory; SLOTS]> = ConstStaticCell::new(
    [const { Memory { inbox: [0; INBOX], outbox: [0; OUTBOX], receive: [0; RECEIVE], send: [0; SEND] } };
        SLOTS],
);
/// The sockets that turn clients away, and TCP's buffers of each. smoltcp has no queue of connections: who comes while no
/// socket listens is reset, so there are two, for those who come one behind the other.
const BOUNCERS: usize = 2;
static TURNED_AWAY: ConstStaticCell<[([u8; 128], [u8; 256]); BOUNCERS]> =
    ConstStaticCell::new([([0; 128], [0; 256]); BOUNCERS]);
static SOCKETS: StaticCell<[SocketStorage<'static>; SLOTS + BOUNCERS]> = StaticCell::new();
static SERVED: StaticCell<[(SocketHandle, Slot); SLOTS]> = StaticCell::new();
static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
static APP: StaticCell<App> = StaticCell::new();

/// What all connections share.
pub struct App {
    telemetry: Telemetry,
    polls: Polls,
    refused: u32,
    slots: u32,
    millis: u32,
}

impl App {
    fn stats(&self) -> Object<192> {
        let stats = Object::new().number("uptime_ms", self.millis).number("loops", self.telemetry.loops());
        let stats =
            stats.number("slots", SLOTS as u32).number("taken", self.slots).number("refused", self.refused);
        stats.number("sessions", self.polls.count()).number("stack_peak", board::stack_peak()).end()
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(peripherals) = cortex_m::Peripherals::take() else { panic!() };
    let mut clock = Clock::start(peripherals.SYST);
    let Some(chip) = nic::Chip::start() else { panic!() };
    let ethernet = ETHERNET.init_with(|| Ethernet::new(chip));
    let mut config = Config::new(smoltcp::wire::EthernetAddress(nic::ADDRESS).into());
    config.random_seed = u64::from_le_bytes(board::entropy().take());
    let mut interface = Interface::new(config, ethernet, at(&mut clock));
    // What QEMU's network expects.
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24)));
    });
    let _ = interface.routes_mut().add_default_ipv4_route(Ipv4Address::new(10, 0, 2, 2));

    let mut sockets = SocketSet::new(&mut SOCKETS.init_with(|| [SocketStorage::EMPTY; SLOTS + BOUNCERS])[..]);
    let served = SERVED.init_with(|| {
        MEMORY.take().each_mut().map(|memory| {
            let socket = socket(&mut memory.receive, &mut memory.send);
            (sockets.add(socket), Slot::new(&mut memory.inbox, &mut memory.outbox))
        })
    });
    // The last ones: a client comes to them only when no other listens.
    let bouncers = TURNED_AWAY.take().each_mut().map(|(receive, send)| sockets.add(socket(receive, send)));
    let app = APP.init_with(|| App {
        telemetry: Telemetry::new(),
        polls: Polls::new(board::entropy()),
        refused: 0,
        slots: 0,
        millis: 0,
    });
    board::say("listening");

    loop {
        let moved = interface.poll(at(&mut clock), ethernet, &mut sockets);
        let (millis, now) = (clock.millis(), clock.now());
        app.millis = millis as u32;
        app.telemetry.tick(millis);
        app.polls.turn(now, &app.telemetry);
        for (handle, slot) in served.iter_mut() {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
            if slot.turn(now, socket, app) {
                let _ = socket.listen(80);
            }
        }
        app.slots = served.iter().filter(|(_, slot)| slot.is_taken()).count() as u32;
        bouncers.iter().for_each(|handle| turn_away(sockets.get_mut(*handle), app));
        if moved == PollResult::None {
            cortex_m::asm::wfi();
        }
    }
}

fn at(clock: &mut Clock) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_millis(clock.millis() as i64)
}

fn socket(receive: &'static mut [u8], send: &'static mut [u8]) -> tcp::Socket<'static> {
    let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
    // The link writes once per burst: there is nothing to collect.
    socket.set_nagle_enabled(false);
    // A client that went without a word.
    socket.set_timeout(Some(smoltcp::time::Duration::from_secs(20)));
    socket
}

/// The answer to whoever finds no slot, whatever was asked.
fn turn_away(socket: &mut tcp::Socket<'_>, app: &mut App) {
    if socket.state() == tcp::State::TimeWait {
        socket.abort();
    }
    if !socket.is_open() {
        let _ = socket.listen(80);
    } else if socket.state() == tcp::State::Established
        && socket.can_recv()
        && socket.send_slice(BUSY).is_ok()
    {
        app.refused += 1;
        socket.close();
    } else if socket.state() == tcp::State::CloseWait {
        socket.close();
    }
    // What is asked is not read, but it must not be left unread either: the answer would be lost to a reset.
    let _ = socket.recv(|bytes| (bytes.len(), ()));
}

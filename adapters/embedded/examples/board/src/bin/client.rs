//! The board as the client: it connects to a WebSocket echo at 10.0.2.100, port 9001 (`run.sh --client` says where that leads), says a
//! hundred things, hears them back, closes in order, and says so on the console.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
#[allow(dead_code)]
#[path = "../board.rs"]
mod board;
#[path = "../drive.rs"]
mod drive;
#[allow(dead_code)]
#[path = "../json.rs"]
mod json;
#[allow(unsafe_code)]
#[path = "../nic.rs"]
mod nic;

use cortex_m_semihosting::debug;
use smoltcp::{
    iface::{Config, Interface, SocketSet, SocketStorage},
    socket::tcp,
    wire::{EthernetAddress, IpCidr, Ipv4Address, Ipv4Cidr},
};
use static_cell::ConstStaticCell;
use stillwire::{
    Inbox, Link, Outbox,
    http::{self, Fetch},
    ws,
};

use crate::drive::{Turn, turn};

const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 100);
const PORT: u16 = 9001;
const MESSAGES: u32 = 100;

static MEMORY: ConstStaticCell<[[u8; 1024]; 4]> = ConstStaticCell::new([[0; 1024]; 4]);

fn message(number: u32, digits: &mut [u8; 10]) -> &str {
    json::decimal(number, digits)
}

/// The handshake, then as many messages; whether all came back and the end was in order.
#[derive(Default)]
struct Talk {
    sent: u32,
    heard: u32,
    closed: bool,
}

impl Talk {
    fn say(&mut self, machine: &mut ws::Connection, outbox: &mut Outbox<'_>) {
        // As many as there is room for: they come back in order.
        while self.sent < MESSAGES && machine.send_text(message(self.sent, &mut [0; 10]), outbox).is_ok() {
            self.sent += 1;
        }
        if self.heard == MESSAGES {
            let _ = machine.send_close(1000, "that was all", outbox);
        }
    }

    fn hear(&mut self, event: &ws::Event<'_>) {
        match event {
            ws::Event::Text(text) if *text == message(self.heard, &mut [0; 10]) => self.heard += 1,
            ws::Event::Text(_) => fail("this was not said"),
            ws::Event::Closed { code, .. } => self.closed = *code == 1000,
            _ => {}
        }
    }
}

fn fail(why: &str) -> ! {
    board::say(why);
    debug::exit(debug::EXIT_FAILURE);
    loop {}
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(peripherals) = cortex_m::Peripherals::take() else { panic!() };
    let mut clock = board::Clock::start(peripherals.SYST);
    let Some(chip) = nic::Chip::start() else { panic!() };
    let mut ethernet = nic::Ethernet::new(chip);
    let mut config = Config::new(EthernetAddress(nic::ADDRESS).into());
    config.random_seed = u64::from_le_bytes(board::entropy().take());
    let at = smoltcp::time::Instant::from_millis(0);
    let mut interface = Interface::new(config, &mut ethernet, at);
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24)));
    });
    let mut sockets = [SocketStorage::EMPTY];
    let mut sockets = SocketSet::new(&mut sockets[..]);
    let [receive, send, inbox, outbox] = MEMORY.take();
    let socket =
        tcp::Socket::new(tcp::SocketBuffer::new(&mut receive[..]), tcp::SocketBuffer::new(&mut send[..]));
    let handle = sockets.add(socket);
    if sockets.get_mut::<tcp::Socket<'_>>(handle).connect(interface.context(), (HOST, PORT), 49_152).is_err()
    {
        fail("nobody to connect to");
    }

    let mut entropy = board::entropy();
    let offer = ws::Offer::new(&mut entropy, &ws::Config::TINY);
    let mut fetch = Link::new(Fetch::new(http::Config::TINY), Inbox::new(inbox), Outbox::new(outbox));
    if offer.send(&mut fetch.machine, "10.0.2.100:9001", "/", &[], &[], &mut fetch.outbox).is_err() {
        fail("the offer has no room");
    }
    // First one machine has the link, then the other.
    let mut fetch = Some(fetch);
    let mut socket_link: Option<Link<'static, ws::Connection>> = None;
    let mut talk = Talk::default();
    loop {
        let at = smoltcp::time::Instant::from_millis(clock.millis() as i64);
        interface.poll(at, &mut ethernet, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        let now = clock.now();
        if !socket.is_open() {
            fail("it was not taken, or broke off");
        }
        if !socket.may_send() && !socket.may_recv() {
            continue;
        }
        if let Some(link) = &mut fetch {
            let done = turn(now, link, socket, |answer, _| match answer {
                http::Answer::Head(head) if offer.check(&head, &[]).is_ok() => false,
                _ => fail("it is no WebSocket"),
            });
            if done == Turn::Stopped {
                let entropy = board::entropy();
                socket_link = fetch
                    .take()
                    .map(|link| link.switch(|_| ws::Connection::client(ws::Config::TINY, entropy)));
            }
        }
        if let Some(link) = &mut socket_link {
            talk.say(&mut link.machine, &mut link.outbox);
            let done = turn(now, link, socket, |event, _| {
                talk.hear(&event);
                true
            });
            if done == Turn::Over {
                break;
            }
        }
    }
    if !talk.closed || talk.heard != MESSAGES {
        fail("it ended too soon");
    }
    board::say("100 messages came back");
    debug::exit(debug::EXIT_SUCCESS);
    loop {}
}

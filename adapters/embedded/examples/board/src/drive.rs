//! Between a machine and a polled socket: the whole driver.

use smoltcp::socket::tcp::Socket;
use stillwire::{Instant, Link, Machine, Reply, Want};

/// What one turn came to.
#[derive(PartialEq, Eq)]
pub enum Turn {
    /// Nothing more to do for now.
    Idle,
    /// The application said so: another machine takes the link over.
    Stopped,
    /// The connection has ended, as far as the machine goes.
    Over,
}

/// Does all that can be done now. `answer` says whether to go on.
pub fn turn<M: Machine>(
    now: Instant,
    link: &mut Link<'_, M>,
    socket: &mut Socket<'_>,
    mut answer: impl FnMut(M::Event<'_>, Reply<'_, '_, M>) -> bool,
) -> Turn {
    loop {
        match link.want(now) {
            Ok(Want::Deliver) => {
                let Some((event, reply)) = link.turn() else { continue };
                if !answer(event, reply) {
                    return Turn::Stopped;
                }
            }
            Ok(Want::Write { .. }) => match socket.send_slice(link.outbox.chunk()) {
                Ok(0) => return Turn::Idle,
                Ok(n) => link.outbox.advance(n),
                Err(_) => return Turn::Over, // the peer has reset it
            },
            Ok(Want::Read { .. }) => match socket.recv_slice(link.inbox.spare()) {
                Ok(0) => return Turn::Idle,
                Ok(n) => link.inbox.filled(n),
                Err(_) => link.inbox.finish(),
            },
            Ok(Want::Wait { .. }) => return Turn::Idle,
            Ok(Want::Finish) => {
                socket.close();
                link.shut();
            }
            Ok(Want::Close) if !link.outbox.is_empty() => {
                socket.abort(); // it takes nothing
                return Turn::Over;
            }
            Ok(Want::Close) | Err(_) => return Turn::Over,
        }
    }
}

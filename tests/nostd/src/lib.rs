//! Proof that the core's lowest tier needs neither std nor an allocator.
//!
//! A static library is where Rust asks for everything that a program needs: with a panic handler of its own it does not
//! compile if anything below links std ("duplicate lang item"), and without a global allocator it does not compile
//! if anything below links alloc. Each machine is driven here, over boxes that are plain arrays.
#![no_std]
#![forbid(unsafe_code)]

use core::panic::PanicInfo;

use stillwire::{Entropy, Inbox, Instant, Link, Machine, Outbox, Want, http, polling, sse, ws};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Bytes in, bytes out: what a driver does, without I/O. How many bytes were written; `None` after an error.
fn drive<M: Machine>(
    machine: M,
    input: &[u8],
    boxes: (&mut [u8], &mut [u8]),
    mut answer: impl FnMut(M::Event<'_>, &mut M, &mut Outbox<'_>),
) -> Option<usize> {
    let mut link = Link::new(machine, Inbox::new(boxes.0), Outbox::new(boxes.1));
    let (mut input, mut written) = (input, 0);
    loop {
        match link.want(Instant::EPOCH).ok()? {
            Want::Deliver => {
                let (event, reply) = link.turn()?;
                answer(event, reply.machine, reply.outbox);
            }
            Want::Write { .. } => {
                let n = link.outbox.chunk().len();
                link.outbox.advance(n);
                written += n;
            }
            Want::Read { .. } if input.is_empty() => link.inbox.finish(),
            Want::Read { .. } => {
                let n = link.inbox.push(input);
                input = input.get(n..)?;
            }
            Want::Finish => link.shut(),
            Want::Wait { .. } | Want::Close => return Some(written),
        }
    }
}

fn entropy() -> Entropy {
    Entropy::from_fn(|bytes| bytes.fill(7)) // a firmware asks its hardware
}

/// An echo.
pub fn websocket_server(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(ws::Connection::server(ws::Config::TINY), input, boxes, |event, server, outbox| {
        let _ = match event {
            ws::Event::Text(text) => server.send_text(text, outbox),
            ws::Event::Binary(bytes) => server.send_binary(bytes, outbox),
            _ => Ok(()),
        };
    })
}

pub fn websocket_client(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(ws::Connection::client(ws::Config::TINY, entropy()), input, boxes, |_, client, outbox| {
        let _ = client.send_close(1000, "enough", outbox);
    })
}

pub fn http_server(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(http::Exchange::new(http::Config::TINY), input, boxes, |event, server, outbox| {
        if let http::Event::Head(head) = event {
            let _ = match ws::Accept::new(&head, &["echo"], &ws::Config::TINY) {
                Ok(accept) => accept.write(&[], outbox).is_ok(),
                Err(refusal) => server.respond(refusal.http_status(), refusal.headers(), b"", outbox).is_ok(),
            };
        }
    })
}

pub fn one_request(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(http::Single::new(http::Config::TINY), input, boxes, |event, server, outbox| {
        if matches!(event, http::Event::End) {
            let _ = server.respond(200, &[], &[b"hello"], outbox);
        }
    })
}

pub fn http_client(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(http::Fetch::new(http::Config::TINY), input, boxes, |event, client, outbox| {
        if matches!(event, http::Answer::End) {
            let _ = client.request("GET", "/", &[("host", "a.example")], &[], outbox);
        }
    })
}

pub fn event_stream_server(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    let mut link =
        Link::new(http::Exchange::new(http::Config::TINY), Inbox::new(boxes.0), Outbox::new(boxes.1));
    link.inbox.push(input);
    if link.want(Instant::EPOCH).ok()? != Want::Deliver {
        return None;
    }
    let (_, reply) = link.turn()?;
    sse::Feed::begin(reply.machine, &[], reply.outbox).ok()?;
    let mut link = link.switch(|exchange| sse::Feed::over(exchange, sse::FeedConfig::default()));
    let block = sse::Block { id: Some("7"), data: Some(&[b"hello"]), ..Default::default() };
    link.machine.send_block(&block, &mut link.outbox).ok()?;
    Some(link.outbox.chunk().len())
}

pub fn event_stream_client(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(sse::Stream::new(sse::Config::TINY), input, boxes, |_, _, _| {})
}

/// The client's end of a polling connection, or the server's: they speak the same records.
pub fn polling_connection(input: &[u8], boxes: (&mut [u8], &mut [u8])) -> Option<usize> {
    drive(polling::Connection::new(&polling::Config::TINY), input, boxes, |event, end, outbox| {
        if let polling::Event::Text(text) = event {
            let _ = end.send_text(text, outbox);
        }
    })
}

/// A server's session, whose pipes are arrays, too.
pub fn polling_session(body: &[u8], pipes: (&mut [u8], &mut [u8])) -> Option<usize> {
    let (up, down) = (Inbox::new(pipes.0), Inbox::new(pipes.1));
    let sid = polling::Sid::new(&mut entropy());
    let mut session = polling::Session::over(sid, &polling::Config::TINY, up, down, Instant::EPOCH);
    session.post(body).ok()?;
    let mut record = [0; 64];
    let n = session.read(&mut record)?;
    session.write(record.get(..n)?);
    let seat = session.sit(0, Instant::EPOCH).ok()?;
    match session.serve(seat, Instant::EPOCH) {
        polling::Served::Batch(batch) => Some(batch.len()),
        _ => None,
    }
}

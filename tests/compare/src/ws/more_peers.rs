//! More peers: those that need a driver around them, and soketto.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use soketto::connection::{Builder, Mode};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent,
};

use super::{FLUSH, Message, Role, Sends};
use crate::measure::{Contender, Eat};
use crate::pipe::Pipe;

const READ: usize = 64 << 10;
const LARGEST: usize = 4 << 20;

/// Its protocol without its stream, which is the faster half of it.
pub struct Sockudo {
    protocol: sockudo_ws::protocol::Protocol,
    bytes: BytesMut,
    batch: Vec<sockudo_ws::Message>,
    messages: VecDeque<sockudo_ws::Message>,
    pipe: Pipe,
}

impl Sockudo {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let role = match role {
            Role::Server => sockudo_ws::Role::Server,
            Role::Client => sockudo_ws::Role::Client,
        };
        let protocol = sockudo_ws::protocol::Protocol::new(role, LARGEST, LARGEST);
        Self { protocol, bytes: BytesMut::new(), batch: Vec::new(), messages: VecDeque::new(), pipe }
    }
}

impl Contender for Sockudo {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            let Some(message) = self.messages.pop_front() else {
                self.bytes.reserve(READ);
                self.pipe.pull_into(&mut self.bytes);
                self.protocol.process_into(&mut self.bytes, &mut self.batch).unwrap();
                self.messages.extend(self.batch.drain(..));
                continue;
            };
            eat.eat(message.as_bytes());
            left -= 1;
        }
    }
}

impl Sends for Sockudo {
    fn send(&mut self, message: Message, n: usize) {
        for i in 1..=n {
            let payload = Bytes::from_static(std::hint::black_box(message.payload));
            self.protocol.encode_message(&sockudo_ws::Message::Binary(payload), &mut self.bytes).unwrap();
            if self.bytes.len() >= FLUSH || i == n {
                self.pipe.push(&self.bytes);
                self.bytes.clear();
            }
        }
    }
}

pub struct Soketto {
    sender: soketto::Sender<Compat<Pipe>>,
    receiver: soketto::Receiver<Compat<Pipe>>,
    message: Vec<u8>,
}

impl Soketto {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let mode = match role {
            Role::Server => Mode::Server,
            Role::Client => Mode::Client,
        };
        let (sender, receiver) = Builder::new(pipe.compat(), mode).finish();
        Self { sender, receiver, message: Vec::new() }
    }
}

impl Contender for Soketto {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                self.message.clear();
                let data = self.receiver.receive_data(&mut self.message).await.unwrap();
                // It leaves that to us.
                assert!(!data.is_text() || simdutf8::basic::from_utf8(&self.message).is_ok());
                eat.eat(&self.message);
            }
        };
        all.now_or_never().unwrap();
    }
}

impl Sends for Soketto {
    fn send(&mut self, message: Message, n: usize) {
        let all = async {
            for _ in 0..n {
                self.sender.send_binary(std::hint::black_box(message.payload)).await.unwrap();
            }
            self.sender.flush().await.unwrap();
        };
        all.now_or_never().unwrap();
    }
}

/// Frames and masks; messages are joined here.
pub struct SansIo {
    role: Role,
    decoder: WebsocketFrameDecoder,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    message: Vec<u8>,
    pipe: Pipe,
}

impl SansIo {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let (decoder, buffer) = (WebsocketFrameDecoder::new(), vec![0; READ]);
        Self { role, decoder, buffer, at: 0, end: 0, message: Vec::new(), pipe }
    }
}

impl Contender for SansIo {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            let rest = &mut self.buffer[self.at..self.end];
            let done = self.decoder.add_data(rest).unwrap();
            self.at += done.consumed_bytes;
            match done.event {
                Some(WebsocketFrameEvent::PayloadChunk { .. }) => {
                    self.message.extend_from_slice(&rest[..done.consumed_bytes]);
                }
                Some(WebsocketFrameEvent::End { frame_info, original_opcode }) if frame_info.fin => {
                    // It leaves that to us.
                    let text = original_opcode == Opcode::Text;
                    assert!(!text || simdutf8::basic::from_utf8(&self.message).is_ok());
                    eat.eat(&self.message);
                    self.message.clear();
                    left -= 1;
                }
                Some(_) => {}
                None if done.consumed_bytes == 0 => {
                    (self.at, self.end) = (0, self.pipe.pull(&mut self.buffer));
                }
                None => {}
            }
        }
    }
}

impl Sends for SansIo {
    fn send(&mut self, message: Message, n: usize) {
        let mut encoder = WebsocketFrameEncoder::new();
        let mask = self.role == Role::Client;
        for i in 1..=n {
            let payload = std::hint::black_box(message.payload);
            let head = encoder.start_frame(&FrameInfo {
                opcode: Opcode::Binary,
                payload_length: payload.len() as u64,
                mask: mask.then(rand::random),
                fin: true,
                reserved: 0,
            });
            self.message.extend_from_slice(&head);
            let start = self.message.len();
            self.message.extend_from_slice(payload);
            encoder.transform_frame_payload(&mut self.message[start..]);
            if self.message.len() >= FLUSH || i == n {
                self.pipe.push(&self.message);
                self.message.clear();
            }
        }
    }
}

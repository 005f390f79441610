//! The peers, each on the fastest way through memory that its documentation shows: a raw socket after the handshake,
//! default buffers, many messages for one flush, payloads that need no reference count.

use bytes::Bytes;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio_websockets::{ClientBuilder, Config, Message as TwsMessage, ServerBuilder, WebSocketStream};
use tungstenite::{Message as TungMessage, protocol::Role as TungRole};

use super::{FLUSH, Message, Role, Sends};
use crate::measure::{Contender, Eat};
use crate::pipe::Pipe;

pub struct Tungstenite(tungstenite::WebSocket<Pipe>);

impl Tungstenite {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let role = match role {
            Role::Server => TungRole::Server,
            Role::Client => TungRole::Client,
        };
        let config = tungstenite::protocol::WebSocketConfig::default().write_buffer_size(FLUSH);
        Self(tungstenite::WebSocket::from_raw_socket(pipe, role, Some(config)))
    }
}

impl Contender for Tungstenite {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        for _ in 0..n {
            match self.0.read().unwrap() {
                TungMessage::Binary(bytes) => eat.eat(&bytes),
                TungMessage::Text(text) => eat.eat(text.as_str().as_bytes()),
                _ => unreachable!(),
            }
        }
    }
}

impl Sends for Tungstenite {
    fn send(&mut self, message: Message, n: usize) {
        for _ in 0..n {
            let payload = Bytes::from_static(std::hint::black_box(message.payload));
            self.0.write(TungMessage::Binary(payload)).unwrap();
        }
        self.0.flush().unwrap();
    }
}

/// It writes each frame at once; in memory that costs no more than a copy.
pub struct Fast(WebSocket<Pipe>);

impl Fast {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let role = match role {
            Role::Server => fastwebsockets::Role::Server,
            Role::Client => fastwebsockets::Role::Client,
        };
        Self(WebSocket::after_handshake(pipe, role))
    }
}

impl Contender for Fast {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                let frame = self.0.read_frame().await.unwrap();
                assert!(frame.fin && matches!(frame.opcode, OpCode::Text | OpCode::Binary));
                eat.eat(&frame.payload);
            }
        };
        all.now_or_never().unwrap();
    }
}

impl Sends for Fast {
    fn send(&mut self, message: Message, n: usize) {
        let all = async {
            for _ in 0..n {
                let payload = Payload::Borrowed(std::hint::black_box(message.payload));
                self.0.write_frame(Frame::binary(payload)).await.unwrap();
            }
            self.0.flush().await.unwrap();
        };
        all.now_or_never().unwrap();
    }
}

pub struct TokioWs(WebSocketStream<Pipe>);

impl TokioWs {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let config = Config::default().flush_threshold(FLUSH);
        Self(match role {
            Role::Server => ServerBuilder::new().config(config).serve(pipe),
            Role::Client => ClientBuilder::new().config(config).take_over(pipe),
        })
    }
}

impl Contender for TokioWs {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                let message = self.0.next().await.unwrap().unwrap();
                match message.as_text() {
                    Some(text) => eat.eat(text.as_bytes()),
                    None => eat.eat(message.as_payload()),
                }
            }
        };
        all.now_or_never().unwrap();
    }
}

impl Sends for TokioWs {
    fn send(&mut self, message: Message, n: usize) {
        let all = async {
            for _ in 0..n {
                let payload = Bytes::from_static(std::hint::black_box(message.payload));
                self.0.feed(TwsMessage::binary(payload)).await.unwrap();
            }
            self.0.flush().await.unwrap();
        };
        all.now_or_never().unwrap();
    }
}

pub struct Yawc(yawc::WebSocket<Pipe>);

impl Yawc {
    pub fn new(role: Role, pipe: Pipe) -> Self {
        let role = match role {
            Role::Server => yawc::Role::Server,
            Role::Client => yawc::Role::Client,
        };
        let options = yawc::Options::default()
            .with_limits(4 << 20, 8 << 20)
            .with_utf8()
            .with_read_buffer_capacity(64 << 10)
            .with_backpressure_boundary(FLUSH);
        Self(yawc::WebSocket::from_stream(pipe, role, options).unwrap())
    }
}

impl Contender for Yawc {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let all = async {
            for _ in 0..n {
                let frame = self.0.next_frame().await.unwrap();
                eat.eat(frame.payload());
            }
        };
        all.now_or_never().unwrap();
    }
}

impl Sends for Yawc {
    fn send(&mut self, message: Message, n: usize) {
        let all = async {
            for _ in 0..n {
                let payload = Bytes::from_static(std::hint::black_box(message.payload));
                self.0.feed(yawc::Frame::binary(payload)).await.unwrap();
            }
            self.0.flush().await.unwrap();
        };
        all.now_or_never().unwrap();
    }
}

//! Others' WebSocket servers, each with the conversation of ours: request, echo, close.

use crate::{Wire, memory};

#[cfg(any(feature = "edge-ws", feature = "picoserve"))]
mod io {
    use crate::Wire;
    use core::convert::Infallible;

    impl embedded_io_async::ErrorType for Wire {
        type Error = Infallible;
    }

    impl embedded_io_async::Read for Wire {
        async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
            Ok(self.get(into))
        }
    }

    impl embedded_io_async::Write for Wire {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            self.put(bytes);
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }
}

#[cfg(feature = "embedded-websocket")]
mod endpoint {
    use super::*;
    use embedded_websocket::{WebSocketSendMessageType, WebSocketServer, framer::*, read_http_header};

    impl Stream<()> for Wire {
        fn read(&mut self, into: &mut [u8]) -> Result<usize, ()> {
            Ok(self.get(into))
        }

        fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
            self.put(bytes);
            Ok(())
        }
    }

    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (input, output, message) = (memory::<0>(), memory::<1>(), memory::<2>());
        let mut have = 0;
        let (context, used) = loop {
            let n = wire.get(&mut input[have..]);
            if n == 0 {
                return None;
            }
            have += n;
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            if let httparse::Status::Complete(used) = request.parse(&input[..have]).ok()? {
                let headers = request.headers.iter().map(|header| (header.name, header.value));
                break (read_http_header(headers).ok()??, used);
            }
        };
        let mut socket = WebSocketServer::new_server();
        let n = socket.server_accept(&context.sec_websocket_key, None, output).ok()?;
        wire.put(&output[..n]);
        // Its framer cannot be handed what was read too far.
        wire.unget(have - used);
        let mut cursor = 0;
        let mut framer = Framer::new(&mut input[..], &mut cursor, &mut output[..], &mut socket);
        loop {
            match framer.read(wire, &mut message[..]).ok()? {
                ReadResult::Text(text) => {
                    framer.write(wire, WebSocketSendMessageType::Text, true, text.as_bytes()).ok()?;
                }
                ReadResult::Binary(bytes) => {
                    framer.write(wire, WebSocketSendMessageType::Binary, true, bytes).ok()?;
                }
                ReadResult::Pong(_) => {}
                ReadResult::Closed => return Some(size_of::<WebSocketServer>()),
            }
        }
    }
}

#[cfg(feature = "edge-ws")]
mod endpoint {
    use super::*;
    use edge_http::io::server::Connection;
    use edge_ws::{FrameHeader, FrameType};

    async fn serve(wire: &mut Wire) -> Option<usize> {
        let (input, message) = (memory::<0>(), memory::<1>());
        let mut connection: Connection<'_, _, 16> = Connection::new(input, wire).await.ok()?;
        if !connection.is_ws_upgrade_request().ok()? {
            return None;
        }
        let mut answer = [0; edge_http::ws::MAX_BASE64_KEY_RESPONSE_LEN];
        connection.initiate_ws_upgrade_response(&mut answer).await.ok()?;
        connection.complete().await.ok()?;
        let state = size_of_val(&connection);
        let mut socket = connection.unbind().ok()?;
        loop {
            let mut header = FrameHeader::recv(&mut socket).await.ok()?;
            let payload = header.recv_payload(&mut socket, message).await.ok()?;
            header.mask_key = None;
            let end = header.frame_type == FrameType::Close;
            match header.frame_type {
                FrameType::Ping => header.frame_type = FrameType::Pong,
                FrameType::Pong => continue,
                _ => {}
            }
            header.send(&mut socket).await.ok()?;
            header.send_payload(&mut socket, payload).await.ok()?;
            if end {
                return Some(state);
            }
        }
    }

    pub fn run(wire: &mut Wire) -> Option<usize> {
        embassy_futures::block_on(serve(wire))
    }
}

#[cfg(feature = "websocket-sans-io")]
mod endpoint {
    use super::*;
    use websocket_sans_io::*;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// It has none: the smallest that works, which checks nothing.
    fn handshake(wire: &mut Wire, input: &mut [u8; 1024]) -> Option<()> {
        let mut have = 0;
        let end = loop {
            let n = wire.get(&mut input[have..]);
            if n == 0 {
                return None;
            }
            have += n;
            if let Some(at) = input[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let key = input[..end].split(|byte| *byte == b'\n').find_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let named = line[..colon].eq_ignore_ascii_case(b"sec-websocket-key");
            named.then(|| line[colon + 1..].trim_ascii())
        })?;
        let mut hash = sha1_smol::Sha1::new();
        hash.update(key);
        hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let mut value = [b'='; 28];
        for (i, three) in hash.digest().bytes().chunks(3).enumerate() {
            let at = |k: usize| u32::from(three.get(k).copied().unwrap_or_default());
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for k in 0..=three.len() {
                value[i * 4 + k] = ALPHABET[(bits >> (18 - 6 * k)) as usize & 63];
            }
        }
        wire.put(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
        wire.put(&value);
        wire.put(b"\r\n\r\n");
        wire.unget(have - end);
        Some(())
    }

    pub fn run(wire: &mut Wire) -> Option<usize> {
        let (input, message) = (memory::<0>(), memory::<1>());
        handshake(wire, input)?;
        let mut decoder = WebsocketFrameDecoder::default();
        let (mut at, mut have, mut len) = (0, 0, 0);
        loop {
            let step = decoder.add_data(&mut input[at..have]).ok()?;
            let used = at..at + step.consumed_bytes;
            at += step.consumed_bytes;
            match step.event {
                Some(WebsocketFrameEvent::PayloadChunk { .. }) => {
                    message.get_mut(len..len + used.len())?.copy_from_slice(&input[used.clone()]);
                    len += used.len();
                }
                Some(WebsocketFrameEvent::End { frame_info, original_opcode }) => {
                    let is_ping = original_opcode == Opcode::Ping;
                    let opcode = if is_ping { Opcode::Pong } else { frame_info.opcode };
                    let payload_length = len as PayloadLength;
                    let head =
                        FrameInfo { opcode, payload_length, mask: None, fin: frame_info.fin, reserved: 0 };
                    wire.put(&WebsocketFrameEncoder::new().start_frame(&head));
                    wire.put(&message[..len]);
                    len = 0;
                    if original_opcode == Opcode::ConnectionClose {
                        return Some(size_of_val(&decoder));
                    }
                }
                None if step.consumed_bytes == 0 || at == have => {
                    (have, at) = (wire.get(input), 0);
                    if have == 0 {
                        return None;
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(feature = "picoserve")]
mod endpoint {
    use super::*;
    use core::{convert::Infallible, future::pending};
    use picoserve::{futures::Either, response::ws::*, routing::get};

    struct Runtime;
    struct NoTimer;

    impl picoserve::time::Timer<Runtime> for NoTimer {
        fn delay(&self, _: picoserve::time::Duration) -> impl Future<Output = ()> {
            pending()
        }
    }

    struct Socket<'w>(&'w mut Wire);
    struct Receive<'w>(&'w mut Wire);
    struct Send;

    impl picoserve::io::Socket<Runtime> for Socket<'_> {
        type Error = Infallible;
        type ReadHalf<'a>
            = Receive<'a>
        where
            Self: 'a;
        type WriteHalf<'a>
            = Send
        where
            Self: 'a;

        fn split(&mut self) -> (Receive<'_>, Send) {
            (Receive(self.0), Send)
        }

        async fn abort<T: picoserve::time::Timer<Runtime>>(
            self,
            _: &picoserve::Timeouts,
            _: &T,
        ) -> Result<(), picoserve::Error<Infallible>> {
            Ok(())
        }

        async fn shutdown<T: picoserve::time::Timer<Runtime>>(
            self,
            _: &picoserve::Timeouts,
            _: &T,
        ) -> Result<(), picoserve::Error<Infallible>> {
            Ok(())
        }
    }

    impl embedded_io_async::ErrorType for Receive<'_> {
        type Error = Infallible;
    }

    impl embedded_io_async::ErrorType for Send {
        type Error = Infallible;
    }

    impl embedded_io_async::Read for Receive<'_> {
        async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
            Ok(self.0.get(into))
        }
    }

    fn put(bytes: &[u8]) {
        Wire { line: 0, at: 0, sum: 0, sent: 0 }.put(bytes);
    }

    impl embedded_io_async::Write for Send {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            put(bytes);
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl picoserve::io::Write for Send {
        async fn write_with<F: FnOnce(picoserve::mem::BorrowedCursor<'_>) -> T, T>(
            &mut self,
            fill: F,
        ) -> Result<T, Infallible> {
            let mut buffer = [0; 128];
            let mut buffer = picoserve::mem::BorrowedBuffer::new(&mut buffer);
            let result = fill(buffer.unfilled());
            put(buffer.filled());
            Ok(result)
        }
    }

    struct Echo;

    impl WebSocketCallback for Echo {
        async fn run<R: picoserve::io::Read, W: picoserve::io::Write<Error = R::Error>>(
            self,
            mut receive: SocketRx<R>,
            mut send: SocketTx<W>,
        ) -> Result<(), W::Error> {
            let message = memory::<2>();
            let reason = loop {
                let Either::First(next) = receive.next_message(message, pending::<()>()).await? else {
                    break None;
                };
                match next {
                    Ok(Message::Text(text)) => send.send_text(text).await?,
                    Ok(Message::Binary(bytes)) => send.send_binary(bytes).await?,
                    Ok(Message::Ping(payload)) => send.send_pong(payload).await?,
                    Ok(Message::Pong(_)) => {}
                    Ok(Message::Close(_)) => break None,
                    Err(error) => break Some((error.code(), "")),
                }
            };
            send.close(reason).await
        }
    }

    pub fn run(wire: &mut Wire) -> Option<usize> {
        let app = picoserve::Router::new()
            .route("/chat", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(Echo)));
        let config = picoserve::Config::const_default();
        let server = picoserve::Server::custom(&app, NoTimer, &config, memory::<0>());
        embassy_futures::block_on(server.serve(Socket(wire))).ok().map(|_| 0)
    }
}

pub use endpoint::run;

//! eventsource-client, whose parser is its own: so it is the client, with a body from here instead of from a connection.

use bytes::Bytes;
use eventsource_client::{BoxStream, Client as _, ClientBuilder, Result, SSE};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, Request, Response, ResponseFuture};

use super::Chunks;
use crate::measure::{Contender, Eat};

pub(super) struct Client(BoxStream<Result<SSE>>);

#[derive(Clone)]
struct Given(Chunks);

impl Client {
    pub(super) fn new(chunks: Chunks) -> Self {
        let builder = ClientBuilder::for_url("http://a.example/").unwrap();
        Self(builder.build_with_transport(Given(chunks)).stream())
    }
}

impl HttpTransport for Given {
    fn request(&self, _: Request<Option<Bytes>>) -> ResponseFuture {
        let mut chunks = self.0.clone();
        let body: ByteStream = Box::pin(stream::repeat_with(move || Ok(chunks.next())));
        Box::pin(std::future::ready(Ok(Response::new(body))))
    }
}

impl Contender for Client {
    fn go<E: Eat>(&mut self, n: usize, eat: &mut E) {
        let mut left = n;
        while left > 0 {
            match self.0.next().now_or_never().unwrap().unwrap().unwrap() {
                SSE::Event(event) => {
                    eat.eat(event.event_type.as_bytes());
                    eat.eat(event.data.as_bytes());
                    eat.eat(event.id.as_deref().unwrap_or_default().as_bytes());
                    left -= 1;
                }
                SSE::Connected(_) | SSE::Comment(_) => {}
            }
        }
    }
}

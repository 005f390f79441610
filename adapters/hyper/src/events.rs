//! One event stream as the answer of a handler, without rooms.

use core::{future::poll_fn, task::Poll};

use http::Response;
use stillwire::{SendError, http::Error as HttpError, sse};
use stillwire_tokio::{Connection, Error};

use crate::{
    Body,
    answer::response,
    pipe::{Pipe, pipe},
};

/// An event stream and the answer that carries it. A subscriber that stays away (`Last-Event-ID`) is told by
/// [`sse::Feed::last_event_id`]; to tell a browser to stop, answer with 204 instead.
///
/// ```
/// use stillwire::sse;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (response, mut stream) = stillwire_hyper::events(sse::FeedConfig::default());
/// tokio::spawn(async move {
///     for n in 0..10 {
///         let event = sse::Block { id: Some(&n.to_string()), data: Some(&[b"tick"]), ..Default::default() };
///         if stream.send(&event).await.is_err() { return } // the subscriber has left
///     }
///     stream.end().await;
/// });
/// assert_eq!(response.headers()["content-type"], "text/event-stream"); // give it to hyper
/// # }
/// ```
#[must_use]
pub fn events(config: sse::FeedConfig) -> (Response<Body>, EventStream) {
    let (pipe, outlet) = pipe();
    let connection = Connection::new(pipe, sse::Feed::as_body(config), 64, 256 << 10);
    (stream(outlet), EventStream(connection))
}

pub(crate) fn stream(outlet: crate::pipe::Outlet) -> Response<Body> {
    response(200, sse::Feed::HEADERS, Body::events(outlet))
}

/// The sending side of an answer that does not end. The task that holds it drives it: comments keep it alive only while
/// something is awaited here. Dropping it ends the answer, and browsers connect again.
#[derive(Debug)]
pub struct EventStream(Connection<Pipe, sse::Feed>);

impl EventStream {
    /// Sends one block, and waits for room while 256 KiB wait already.
    ///
    /// # Errors
    /// [`SendError::NotOpen`]: the subscriber has left, or took nothing for 20 s. [`SendError::Unsuitable`]: a field
    /// with a line break in it; [`SendError::Full`]: more than 256 KiB. Nothing of it was sent.
    pub async fn send(&mut self, block: &sse::Block<'_>) -> Result<(), SendError> {
        let connection = &mut self.0;
        // Time passes, and it shows whether somebody is there.
        let over = poll_fn(|cx| Poll::Ready(!connection.poll_event(cx).is_pending())).await;
        if over {
            return Err(SendError::NotOpen);
        }
        loop {
            let link = &mut connection.link;
            match link.machine.send_block(block, &mut link.outbox) {
                Err(SendError::Full(_)) if !link.outbox.is_empty() => {
                    poll_fn(|cx| connection.poll_drain(cx)).await.map_err(|_| SendError::NotOpen)?;
                }
                sent => {
                    poll_fn(|cx| Poll::Ready(connection.poll_write(cx).is_ready())).await;
                    return sent;
                }
            }
        }
    }

    /// Waits until the subscriber has left, and keeps the stream alive meanwhile: the other arm of a `select!`.
    pub async fn closed(&mut self) {
        let _: Result<_, Error<HttpError>> = self.0.next().await.map(drop);
    }

    /// Ends the answer when all of it was taken. Browsers connect again.
    pub async fn end(mut self) {
        let link = &mut self.0.link;
        link.machine.end(&mut link.outbox);
        self.closed().await;
    }
}
